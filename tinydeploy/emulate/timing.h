/* Models the cycles of a basic block: what each Thumb instruction is, and what it costs on the board's core.
 *
 * Included by hook.c. The costs come from timing.py, which has their sources; docs/timing.md describes the model.
 */
#ifndef TD_TIMING_H
#define TD_TIMING_H

#include <stdint.h>

/* The figures of a core, in cycles but for the first two; timing.py has the same names in the same order. */
#define TD_COSTS(X)                                                                                                  \
    X(issue_width) X(registers_per_cycle)                                                                            \
    X(load) X(load_pipelined) X(store) X(load_double) X(store_double) X(multiple)                                    \
    X(address_stall) X(multiply) X(multiply_add) X(long_multiply) X(long_multiply_add) X(divide)                     \
    X(branch_taken) X(branch_not_taken) X(branch_link) X(branch_register) X(refill) X(table_branch)                  \
    X(unaligned_target) X(mispredict)                                                                                \
    X(fp_load) X(fp_load_double) X(fp_multiple) X(fp_operation) X(fp_multiply_add) X(fp_divide) X(fp_result_stall)   \
    X(load_latency) X(narrow_load_latency) X(multiply_latency) X(fp_latency) X(fp_multiply_add_latency)
#define TD_COST_NAME(name) TD_COST_##name,
#define TD_COST_TEXT(name) #name " "
enum { TD_COSTS(TD_COST_NAME) TD_COST_TOTAL };

enum {
    TD_OP_ALU,
    TD_OP_SLOT0, /* single-cycle, but on the Cortex-M7 in its first pipeline only: SIMD, bit fields, saturation */
    TD_OP_LOAD,
    TD_OP_LOAD_NARROW,
    TD_OP_STORE,
    TD_OP_LOAD_DOUBLE,
    TD_OP_STORE_DOUBLE,
    TD_OP_LOAD_MULTIPLE,
    TD_OP_STORE_MULTIPLE,
    TD_OP_MULTIPLY,
    TD_OP_MULTIPLY_ADD,
    TD_OP_LONG_MULTIPLY,
    TD_OP_LONG_MULTIPLY_ADD,
    TD_OP_DIVIDE,
    TD_OP_BRANCH,
    TD_OP_BRANCH_LINK,
    TD_OP_BRANCH_REGISTER,
    TD_OP_TABLE_BRANCH,
    TD_OP_FP_LOAD,
    TD_OP_FP_LOAD_DOUBLE,
    TD_OP_FP_MULTIPLE,
    TD_OP_FP_OPERATION,
    TD_OP_FP_MULTIPLY_ADD,
    TD_OP_FP_DIVIDE
};

/* Registers as a set: r0..r15 are bits 0..15, s0..s31 bits 32..63. */
typedef struct {
    uint64_t reads;   /* at the time of execution */
    uint64_t address; /* for an address */
    uint64_t shifted; /* as an operand that is shifted first */
    uint64_t added;   /* as the accumulator of a multiplication */
    uint64_t writes;
    uint64_t updates;     /* base registers written back */
    uint32_t kind;
    uint32_t number;      /* of registers moved by a multiple */
    uint32_t conditional; /* a branch that may not be taken */
    uint32_t jumps;       /* writes the pc */
} td_op;

#define TD_BIT(number) ((uint64_t)1 << ((number) & 15u))

static uint64_t low_registers(uint32_t bits) { return bits & 0xFFFFu; }

static uint32_t bits_set(uint32_t bits) {
    uint32_t n = 0;
    for (; bits != 0; bits &= bits - 1) n++;
    return n;
}

static void read_narrow(td_op *op, uint32_t a) {
    uint32_t d = a & 7u, n = a >> 3 & 7u, m = a >> 6 & 7u, high = a >> 8 & 7u;
    switch (a >> 12) {
    case 0:
    case 1:
        op->writes = TD_BIT(d);
        op->reads = TD_BIT(n);
        if ((a & 0xFC00u) == 0x1800u) op->reads |= TD_BIT(m);
        break;
    case 2:
    case 3:
        if ((a & 0xF800u) != 0x2000u) op->reads = TD_BIT(high);
        if ((a & 0xF800u) != 0x2800u) op->writes = TD_BIT(high);
        break;
    case 4:
        if (a < 0x4400u) {
            uint32_t which = a >> 6 & 15u;
            op->reads = TD_BIT(n);
            if (which != 15 && which != 9) op->reads |= TD_BIT(d);
            if (which != 8 && which != 10 && which != 11) op->writes = TD_BIT(d);
            if (which == 13) op->kind = TD_OP_MULTIPLY;
        } else if (a < 0x4800u) {
            uint32_t full = (a & 7u) | (a >> 4 & 8u), which = a >> 8 & 3u;
            op->reads = TD_BIT(a >> 3);
            if (which == 3) {
                op->kind = TD_OP_BRANCH_REGISTER;
                op->jumps = 1;
                if (a & 0x80u) op->writes = TD_BIT(14);
            } else {
                if (which < 2) op->reads |= TD_BIT(full);
                if (which != 1) op->writes = TD_BIT(full);
                if (which != 1 && full == 15) {
                    op->kind = TD_OP_BRANCH_REGISTER;
                    op->jumps = 1;
                }
            }
        } else {
            op->kind = TD_OP_LOAD;
            op->writes = TD_BIT(high);
        }
        break;
    case 5: {
        uint32_t which = a >> 9 & 7u;
        op->address = TD_BIT(n) | TD_BIT(m);
        op->kind = which < 3 ? TD_OP_STORE : which == 4 ? TD_OP_LOAD : TD_OP_LOAD_NARROW;
        if (which < 3) op->reads = TD_BIT(d);
        else op->writes = TD_BIT(d);
        break;
    }
    case 6:
    case 7:
    case 8:
        op->address = TD_BIT(n);
        op->kind = !(a & 0x0800u) ? TD_OP_STORE : a >> 12 == 6 ? TD_OP_LOAD : TD_OP_LOAD_NARROW;
        if (a & 0x0800u) op->writes = TD_BIT(d);
        else op->reads = TD_BIT(d);
        break;
    case 9:
        op->address = TD_BIT(13);
        op->kind = a & 0x0800u ? TD_OP_LOAD : TD_OP_STORE;
        if (a & 0x0800u) op->writes = TD_BIT(high);
        else op->reads = TD_BIT(high);
        break;
    case 10:
        if (a & 0x0800u) op->reads = TD_BIT(13);
        op->writes = TD_BIT(high);
        break;
    case 11:
        if ((a & 0xFF00u) == 0xB000u) {
            op->reads = op->writes = TD_BIT(13);
        } else if ((a & 0xF500u) == 0xB100u) { /* cbz, cbnz */
            op->kind = TD_OP_BRANCH;
            op->reads = TD_BIT(d);
            op->conditional = op->jumps = 1;
        } else if ((a & 0xFF00u) == 0xB200u || (a & 0xFF00u) == 0xBA00u) { /* extensions, byte reversals */
            op->reads = TD_BIT(n);
            op->writes = TD_BIT(d);
        } else if ((a & 0xFE00u) == 0xB400u) {
            op->kind = TD_OP_STORE_MULTIPLE;
            op->number = bits_set(a & 0x1FFu);
            op->reads = low_registers(a & 0xFFu);
            op->address = op->updates = TD_BIT(13);
        } else if ((a & 0xFE00u) == 0xBC00u) {
            op->kind = TD_OP_LOAD_MULTIPLE;
            op->number = bits_set(a & 0x1FFu);
            op->writes = low_registers(a & 0xFFu);
            op->address = op->updates = TD_BIT(13);
            op->jumps = a >> 8 & 1u;
        }
        break;
    case 12:
        op->kind = a & 0x0800u ? TD_OP_LOAD_MULTIPLE : TD_OP_STORE_MULTIPLE;
        op->number = bits_set(a & 0xFFu);
        op->address = op->updates = TD_BIT(high);
        if (a & 0x0800u) op->writes = low_registers(a & 0xFFu);
        else op->reads = low_registers(a & 0xFFu);
        break;
    case 13:
        if ((a & 0x0E00u) != 0x0E00u) {
            op->kind = TD_OP_BRANCH;
            op->conditional = op->jumps = 1;
        }
        break;
    case 14:
        op->kind = TD_OP_BRANCH;
        op->jumps = 1;
        break;
    default: break;
    }
}

/* The s registers that a floating-point operand names. */
static uint64_t fp_register(uint32_t four, uint32_t one, uint32_t is_double) {
    return is_double ? (uint64_t)3 << (32 + (four & 15u) * 2) : (uint64_t)1 << (32 + (four & 15u) * 2 + (one & 1u));
}

static void read_fp(td_op *op, uint32_t a, uint32_t b) {
    uint32_t is_double = b >> 8 & 1u;
    uint64_t d = fp_register(b >> 12, a >> 6, is_double), n = fp_register(a, b >> 7, is_double);
    uint64_t m = fp_register(b, b >> 5, is_double);
    op->kind = TD_OP_FP_OPERATION;
    if ((a & 0xFE00u) == 0xEC00u) {
        if ((a & 0xFFE0u) == 0xEC40u) return; /* vmov of two core registers: as an operation */
        op->address = TD_BIT(a);
        if ((a & 0xFF20u) == 0xED00u) {
            op->kind = is_double ? TD_OP_FP_LOAD_DOUBLE : TD_OP_FP_LOAD; /* stores cost as much */
            if (a & 0x10u) op->writes = d;
            else op->reads = d;
        } else {
            op->kind = TD_OP_FP_MULTIPLE;
            op->number = b & 0xFFu;
            if (a & 0x20u) op->updates = TD_BIT(a);
        }
        return;
    }
    if ((a & 0xFF00u) == 0xEE00u && (b & 0x10u)) { /* vmov of one core register, vmrs, vmsr */
        if ((a & 0xFFE0u) != 0xEE00u) return;
        if (a & 0x10u) {
            op->reads = n;
            op->writes = TD_BIT(b >> 12);
        } else {
            op->reads = TD_BIT(b >> 12);
            op->writes = n;
        }
        return;
    }
    op->reads = m;
    op->writes = d;
    if ((a & 0xFF00u) != 0xEE00u) {
        op->reads |= n;
        return;
    }
    switch (a & 0x00B0u) {
    case 0x00B0u: /* one operand */
        if ((a & 0xFFBFu) == 0xEEB1u && (b & 0xC0u) == 0xC0u) op->kind = TD_OP_FP_DIVIDE; /* vsqrt */
        if ((a & 0xFFBFu) == 0xEEB4u || (a & 0xFFBFu) == 0xEEB5u) {                       /* vcmp */
            op->reads |= d;
            op->writes = 0;
        }
        break;
    case 0x0080u:
        op->kind = TD_OP_FP_DIVIDE;
        op->reads |= n;
        break;
    case 0x0020u:
    case 0x0030u: op->reads |= n; break;
    default: /* vmla, vnmla, vfma, vfnma */
        op->kind = TD_OP_FP_MULTIPLY_ADD;
        op->reads |= n;
        op->added = d;
        break;
    }
}

static void read_memory(td_op *op, uint32_t a, uint32_t b) {
    uint32_t n = a & 15u, t = b >> 12, load = a & 0x10u, word = (a & 0x60u) == 0x40u;
    if (load && t == 15 && !word) return; /* pld, pli */
    if (n != 15) op->address = TD_BIT(n);
    if (n != 15 && !(a & 0x80u)) {
        if (!(b & 0x0800u)) op->address |= TD_BIT(b);
        else if (b & 0x0100u) op->updates = TD_BIT(n);
    }
    op->kind = !load ? TD_OP_STORE : word ? TD_OP_LOAD : TD_OP_LOAD_NARROW;
    if (load) op->writes = TD_BIT(t);
    else op->reads = TD_BIT(t);
    op->jumps = load && t == 15;
}

static void read_dual(td_op *op, uint32_t a, uint32_t b) {
    uint32_t n = a & 15u, load = a & 0x10u;
    if (!(a & 0x40u)) { /* multiple */
        op->kind = load ? TD_OP_LOAD_MULTIPLE : TD_OP_STORE_MULTIPLE;
        op->number = bits_set(b);
        op->address = TD_BIT(n);
        if (a & 0x20u) op->updates = TD_BIT(n);
        if (load) op->writes = low_registers(b) & 0x7FFFu;
        else op->reads = low_registers(b);
        op->jumps = load && (b & 0x8000u);
    } else if ((a & 0xFFF0u) == 0xE8D0u && (b & 0xFFE0u) == 0xF000u) {
        op->kind = TD_OP_TABLE_BRANCH;
        op->address = TD_BIT(n) | TD_BIT(b);
        op->jumps = 1;
    } else {
        uint32_t pair = a & 0x0120u;
        uint64_t moved = TD_BIT(b >> 12) | (pair ? TD_BIT(b >> 8) : 0);
        if (n != 15) op->address = TD_BIT(n);
        if (pair) op->kind = load ? TD_OP_LOAD_DOUBLE : TD_OP_STORE_DOUBLE;
        else op->kind = load ? TD_OP_LOAD : TD_OP_STORE; /* exclusive, acquire, release */
        if (a & 0x0020u) op->updates = TD_BIT(n);
        if (load) op->writes = moved;
        else op->reads = moved;
    }
}

static void read_wide(td_op *op, uint32_t a, uint32_t b) {
    uint32_t n = a & 15u, d = b >> 8 & 15u, m = b & 15u;
    if ((a & 0xEC00u) == 0xEC00u) {
        if ((b & 0x0E00u) == 0x0A00u) read_fp(op, a, b);
    } else if ((a & 0xFE00u) == 0xE800u) {
        read_dual(op, a, b);
    } else if ((a & 0xFE00u) == 0xEA00u) { /* with a register, shifted or not */
        uint32_t which = a >> 5 & 15u;
        if (b & 0x70F0u) op->shifted = TD_BIT(m);
        else op->reads = TD_BIT(m);
        if (n != 15) op->reads |= TD_BIT(n);
        if (d != 15) op->writes = TD_BIT(d);
        if (which == 2 && n == 15) { /* mov and shifts by a constant */
            op->reads = TD_BIT(m);
            op->shifted = 0;
        }
        if (which == 6) op->kind = TD_OP_SLOT0; /* pkhbt, pkhtb */
    } else if ((a & 0xF800u) == 0xF000u && !(b & 0x8000u)) { /* with a constant */
        uint32_t plain = a & 0x0200u, which = a >> 4 & 31u;
        if (d != 15) op->writes = TD_BIT(d);
        if (plain && (which & 0x17u) == 4) { /* movw, movt: n is of the constant */
            if (which & 8u) op->reads = TD_BIT(d);
        } else {
            if (n != 15) op->reads = TD_BIT(n);
            if (plain && which & 16u) { /* ssat, sbfx, bfi, usat, ubfx */
                op->kind = TD_OP_SLOT0;
                if ((which & 0x1Eu) == 0x16u) op->reads |= TD_BIT(d);
            }
        }
    } else if ((a & 0xF800u) == 0xF000u) {
        uint32_t link = b & 0x4000u, always = b & 0x1000u;
        if (!link && !always && (a >> 6 & 15u) >= 14) return; /* msr, mrs, barriers, hints */
        op->kind = link ? TD_OP_BRANCH_LINK : TD_OP_BRANCH;
        op->jumps = 1;
        op->conditional = !link && !always;
        if (link) op->writes = TD_BIT(14);
    } else if ((a & 0xFE00u) == 0xF800u) {
        read_memory(op, a, b);
    } else if ((a & 0xFF00u) == 0xFA00u) { /* shifts, extensions, SIMD, bit counts */
        op->reads = TD_BIT(m) | (n == 15 ? 0 : TD_BIT(n));
        op->writes = TD_BIT(d);
        if (a & 0x80u || n != 15) op->kind = (a & 0xFF80u) == 0xFA00u && !(b & 0x80u) ? TD_OP_ALU : TD_OP_SLOT0;
    } else if ((a & 0xFF80u) == 0xFB00u) {
        op->reads = TD_BIT(n) | TD_BIT(m);
        op->writes = TD_BIT(d);
        op->kind = b >> 12 == 15 ? TD_OP_MULTIPLY : TD_OP_MULTIPLY_ADD;
        if (b >> 12 != 15) op->added = TD_BIT(b >> 12);
    } else if ((a & 0xFF80u) == 0xFB80u) {
        uint32_t which = a >> 4 & 7u;
        op->reads = TD_BIT(n) | TD_BIT(m);
        if (which == 1 || which == 3) {
            op->kind = TD_OP_DIVIDE;
            op->writes = TD_BIT(d);
        } else {
            op->writes = TD_BIT(d) | TD_BIT(b >> 12);
            op->kind = which < 3 ? TD_OP_LONG_MULTIPLY : TD_OP_LONG_MULTIPLY_ADD;
            if (which > 3) op->added = op->writes;
        }
    }
}

static void read_instruction(td_op *op, uint32_t a, uint32_t b) {
    static const td_op nothing;
    *op = nothing;
    if (a >= 0xE800u) read_wide(op, a, b);
    else read_narrow(op, a);
}

static uint32_t moving(const uint32_t *c, uint32_t registers) {
    return (registers + c[TD_COST_registers_per_cycle] - 1) / c[TD_COST_registers_per_cycle];
}

/* What a branch costs more when it is taken than when it is not. */
static uint32_t taken_more(const uint32_t *c, const td_op *op) {
    uint32_t taken;
    if (!op->jumps) return 0;
    switch (op->kind) {
    case TD_OP_BRANCH: taken = c[TD_COST_branch_taken]; break;
    case TD_OP_BRANCH_LINK: taken = c[TD_COST_branch_link]; break;
    case TD_OP_BRANCH_REGISTER: taken = c[TD_COST_branch_register]; break;
    case TD_OP_TABLE_BRANCH: taken = c[TD_COST_table_branch]; break;
    default: return c[TD_COST_refill]; /* a load of the pc */
    }
    return taken > c[TD_COST_branch_not_taken] ? taken - c[TD_COST_branch_not_taken] : 0;
}

/* One instruction at a time: its cost, with what the one before it makes cheaper or dearer. */
typedef struct {
    uint64_t loaded;   /* by a single load just before: the next load or store overlaps with it */
    uint64_t computed; /* by anything else but memory */
    uint64_t fp;
    uint32_t after_load;
} td_single;

static uint32_t single_cost(const uint32_t *c, const td_op *op, td_single *before) {
    uint32_t cycles = 1;
    switch (op->kind) {
    case TD_OP_LOAD:
    case TD_OP_LOAD_NARROW:
        cycles = c[before->after_load && !(op->address & before->loaded) ? TD_COST_load_pipelined : TD_COST_load];
        break;
    case TD_OP_STORE: cycles = c[TD_COST_store]; break;
    case TD_OP_LOAD_DOUBLE: cycles = c[TD_COST_load_double]; break;
    case TD_OP_STORE_DOUBLE: cycles = c[TD_COST_store_double]; break;
    case TD_OP_LOAD_MULTIPLE:
    case TD_OP_STORE_MULTIPLE: cycles = c[TD_COST_multiple] + moving(c, op->number); break;
    case TD_OP_MULTIPLY: cycles = c[TD_COST_multiply]; break;
    case TD_OP_MULTIPLY_ADD: cycles = c[TD_COST_multiply_add]; break;
    case TD_OP_LONG_MULTIPLY: cycles = c[TD_COST_long_multiply]; break;
    case TD_OP_LONG_MULTIPLY_ADD: cycles = c[TD_COST_long_multiply_add]; break;
    case TD_OP_DIVIDE: cycles = c[TD_COST_divide]; break;
    case TD_OP_BRANCH:
    case TD_OP_BRANCH_LINK:
    case TD_OP_BRANCH_REGISTER:
    case TD_OP_TABLE_BRANCH: cycles = c[TD_COST_branch_not_taken]; break;
    case TD_OP_FP_LOAD: cycles = c[TD_COST_fp_load]; break;
    case TD_OP_FP_LOAD_DOUBLE: cycles = c[TD_COST_fp_load_double]; break;
    case TD_OP_FP_MULTIPLE: cycles = c[TD_COST_fp_multiple] + moving(c, op->number); break;
    case TD_OP_FP_OPERATION: cycles = c[TD_COST_fp_operation]; break;
    case TD_OP_FP_MULTIPLY_ADD: cycles = c[TD_COST_fp_multiply_add]; break;
    case TD_OP_FP_DIVIDE: cycles = c[TD_COST_fp_divide]; break;
    default: break;
    }
    if (op->address & before->computed) cycles += c[TD_COST_address_stall];
    if ((op->reads | op->added) & before->fp) cycles += c[TD_COST_fp_result_stall];
    before->after_load = op->kind == TD_OP_LOAD || op->kind == TD_OP_LOAD_NARROW;
    before->loaded = before->after_load ? op->writes : 0;
    before->computed = 0;
    if (op->kind < TD_OP_LOAD || (op->kind >= TD_OP_MULTIPLY && op->kind <= TD_OP_DIVIDE)) before->computed = op->writes;
    before->fp = op->kind >= TD_OP_FP_OPERATION ? op->writes : 0;
    return cycles;
}

/* Two instructions a cycle, in order, as far as the pipelines and the operands allow. Times are relative to the block's
 * start, where every register is ready. */
enum { TD_UNIT_MEMORY = 1, TD_UNIT_MULTIPLY = 2, TD_UNIT_SLOT0 = 4, TD_UNIT_FP = 8, TD_UNIT_BRANCH = 16 };
enum { TD_LONG_AGO = -64 };

typedef struct {
    int32_t ready[64];
    uint64_t multiplied; /* registers whose value comes from the multiplier */
    int32_t now;
    uint32_t issued;
    uint32_t units;
} td_dual;

static void dual_begin(td_dual *p) {
    for (int i = 0; i < 64; i++) p->ready[i] = TD_LONG_AGO;
    p->multiplied = 0;
    p->now = 0;
    p->issued = 0;
    p->units = 0;
}

static int32_t latest(const td_dual *p, uint64_t registers, int32_t early) {
    int32_t when = TD_LONG_AGO;
    for (uint32_t i = 0; registers != 0; i++, registers >>= 1)
        if ((registers & 1u) && p->ready[i] + early > when) when = p->ready[i] + early;
    return when;
}

static void dual_issue(const uint32_t *c, const td_op *op, td_dual *p) {
    uint32_t unit = 0, alone = 0, cycles = 1, latency = 1;
    int32_t when = latest(p, op->reads, 0), other;
    switch (op->kind) {
    case TD_OP_SLOT0: unit = TD_UNIT_SLOT0; latency = 1; break;
    case TD_OP_LOAD: unit = TD_UNIT_MEMORY; latency = c[TD_COST_load_latency]; break;
    case TD_OP_LOAD_NARROW: unit = TD_UNIT_MEMORY; latency = c[TD_COST_narrow_load_latency]; break;
    case TD_OP_STORE: unit = TD_UNIT_MEMORY; break;
    case TD_OP_LOAD_DOUBLE: alone = 1; cycles = c[TD_COST_load_double]; latency = c[TD_COST_load_latency]; break;
    case TD_OP_STORE_DOUBLE: alone = 1; cycles = c[TD_COST_store_double]; break;
    case TD_OP_LOAD_MULTIPLE:
    case TD_OP_STORE_MULTIPLE:
        alone = 1;
        cycles = c[TD_COST_multiple] + moving(c, op->number);
        latency = cycles + c[TD_COST_load_latency] - 1;
        break;
    case TD_OP_MULTIPLY:
    case TD_OP_MULTIPLY_ADD:
    case TD_OP_LONG_MULTIPLY:
    case TD_OP_LONG_MULTIPLY_ADD: unit = TD_UNIT_MULTIPLY; latency = c[TD_COST_multiply_latency]; break;
    case TD_OP_DIVIDE: alone = 1; latency = c[TD_COST_divide]; break;
    case TD_OP_BRANCH:
    case TD_OP_BRANCH_LINK:
    case TD_OP_BRANCH_REGISTER: unit = TD_UNIT_BRANCH; break;
    case TD_OP_TABLE_BRANCH: alone = 1; cycles = 2; break;
    case TD_OP_FP_LOAD: unit = TD_UNIT_MEMORY; latency = c[TD_COST_fp_load]; break;
    case TD_OP_FP_LOAD_DOUBLE: alone = 1; latency = c[TD_COST_fp_load_double]; break;
    case TD_OP_FP_MULTIPLE: alone = 1; cycles = c[TD_COST_fp_multiple] + moving(c, op->number); latency = cycles; break;
    case TD_OP_FP_OPERATION: unit = TD_UNIT_FP; latency = c[TD_COST_fp_latency]; break;
    case TD_OP_FP_MULTIPLY_ADD: unit = TD_UNIT_FP; latency = c[TD_COST_fp_multiply_add_latency]; break;
    case TD_OP_FP_DIVIDE: unit = TD_UNIT_FP; latency = c[TD_COST_fp_divide]; break;
    default: break;
    }
    if ((other = latest(p, op->address, (int32_t)c[TD_COST_address_stall])) > when) when = other;
    if ((other = latest(p, op->shifted, 1)) > when) when = other;
    /* an accumulator is needed one cycle later than the factors; in floating point, when they have been multiplied */
    other = latest(p, op->added & p->multiplied,
                   op->added >> 32 ? -(int32_t)c[TD_COST_fp_latency] : 1 - (int32_t)c[TD_COST_multiply_latency]);
    if (other > when) when = other;
    if ((other = latest(p, op->added & ~p->multiplied, 0)) > when) when = other;

    if (when < p->now) when = p->now;
    if (when == p->now && (p->issued == 2 || (alone && p->issued) || (unit & p->units))) when++;
    if (when > p->now) {
        p->now = when;
        p->issued = 0;
        p->units = 0;
    }
    p->issued = alone ? 2 : p->issued + 1;
    p->units |= unit;
    p->now += (int32_t)(cycles ? cycles : 1) - 1;
    for (uint32_t i = 0; i < 64; i++) {
        if (op->writes >> i & 1u) p->ready[i] = when + (int32_t)latency;
        else if (op->updates >> i & 1u) p->ready[i] = when + 1;
    }
    p->multiplied &= ~(op->writes | op->updates);
    if (unit == TD_UNIT_MULTIPLY || op->kind == TD_OP_FP_MULTIPLY_ADD) p->multiplied |= op->writes;
}

#endif
