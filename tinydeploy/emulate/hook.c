/* Counts instructions, models cycles, watches the stack and splits counts at markers, in the emulator's own thread.
 *
 * Unicorn calls td_on_block before each basic block; that callback decodes a block once and then only adds. The port
 * callbacks are called for loads and stores of the private peripheral bus, the rest of which is Python's. A run that
 * somebody watches has td_on_watched_block instead, which also follows calls and returns (td_trace), and with a debugger
 * td_on_instruction before each instruction (td_debug); other runs pay nothing for either. hook.py
 * compiles this file, mirrors td_state, and says in its docstring what is counted. No header of Unicorn is needed:
 * Python hands over the two functions that are called.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "timing.h"

#if defined(_WIN32)
#define TD_EXPORT __declspec(dllexport)
#else
#define TD_EXPORT __attribute__((visibility("default")))
#endif

/* What td_on_block does is inside of it, so that having two of them costs neither a call. */
#if defined(__GNUC__)
#define TD_INLINE static inline __attribute__((always_inline))
#else
#define TD_INLINE static inline
#endif

enum {
    TD_VERSION = 6,
    TD_MAX_REGIONS = 32,
    TD_MAX_STEPS = 65536,
    TD_PORT_WORK = 256 /* a port access counts as so many instructions towards the next heartbeat */
};

/* Why the hook stopped the run; hook.py has the same numbers. */
enum {
    TD_RUNNING,
    TD_COUNT_LIMIT,
    TD_HEARTBEAT,
    TD_STACK_OVERFLOW,
    TD_TRAP,
    TD_UNDEFINED,
    TD_SELF_LOOP,
    TD_FPU_OFF,
    TD_OUT_OF_MEMORY
};

enum { TD_STACK_STATIC = 1, TD_STACK_DYNAMIC = 2, TD_IS_TRAP = 4, TD_IS_SELF_LOOP = 8, TD_HAS_UNDEFINED = 16, TD_USES_FPU = 32 };
enum { TD_DENY_DOUBLE = 1, TD_DENY_FPU = 2, TD_DENY_DSP = 4 };

#define TD_NO_STEP 0xFFFFFFFFu

typedef int (*td_reg_read)(void *engine, int id, void *value);
typedef int (*td_stop)(void *engine);
typedef int (*td_heartbeat)(void);
typedef uint32_t (*td_python_read)(uint32_t address, uint32_t size);
typedef void (*td_python_write)(uint32_t address, uint32_t size, uint32_t value);
typedef void (*td_step_ended)(uint32_t id);

typedef struct {
    uint32_t base;
    uint32_t bytes;
    const uint8_t *host;
    uint32_t writable;
    uint32_t unused;
} td_region;

typedef struct {
    uint32_t address;
    uint32_t size;
    uint32_t count;
    uint32_t function;
    uint32_t flags;
    int32_t stack_low;   /* least stack pointer inside the block, relative to its entry */
    uint32_t special;    /* address of the denied or first floating-point instruction */
    uint32_t rewritable; /* lies in RAM: decoded anew each time, for it may have been written */
    uint32_t next;       /* the block that came after this one last time: a guess that saves the look-up */
    uint32_t cycles;     /* modelled, up to its end; 0 without a model */
    uint32_t taken_more; /* cycles more when the branch at its end is taken */
    uint32_t entry_more; /* cycles more when a branch leads here */
    uint32_t predictor;  /* of the branch at its end: TD_PREDICTS and a saturating counter; 0 when there is none */
    uint32_t code;       /* a checksum of the instructions whose cycles these are, never 0 */
} td_block;

typedef struct {
    uint32_t id;
    uint32_t unused;
    uint64_t count;
    uint64_t cycles;
} td_step;

/* A point in the run. */
typedef struct {
    uint64_t instructions;
    uint64_t cycles;
} td_moment;

/* What a trace records: a function begins inside the one that runs, the one that runs ends, another takes its place
 * (a jump from function to function), a marker. hook.py has the same numbers. */
enum { TD_CALL, TD_RETURN, TD_JUMP, TD_MARK };

typedef struct {
    uint64_t instructions; /* executed before it */
    uint64_t cycles;
    uint32_t kind;
    uint32_t what; /* a function's index; a marker's number */
} td_event;

/* A function that was called and did not end. */
typedef struct {
    uint32_t function;
    uint32_t returns_to;
    uint32_t sp; /* as it began */
    uint32_t unused;
} td_frame;

typedef struct {
    td_event *events;
    td_frame *frames;
    uint64_t room_limit; /* so many events at most */
    uint64_t room;
    uint64_t total;
    uint32_t frame_room;
    uint32_t depth;
    uint32_t full; /* there was no room for an event: the trace ends with the last one */
    uint32_t unused;
} td_trace;

/* What a debugger asks for, and why the run halted: hook.py has the same numbers. */
enum { TD_NOT_HALTED, TD_STEPPED, TD_BREAKPOINT, TD_WATCHPOINT, TD_INTERRUPTED };
enum { TD_MAX_POINTS = 256 };

typedef struct {
    uint32_t breakpoints[TD_MAX_POINTS];
    uint32_t breakpoint_total;
    uint32_t stepping;    /* halt at the next instruction but one */
    uint32_t interrupted; /* halt as soon as possible */
    uint32_t watch_hit;   /* a watched address was accessed: halt at the next instruction */
    uint32_t moving;      /* the next instruction is the first since the halt, and runs whatever is set there */
    uint32_t halted;
    uint32_t pc;          /* where it halted; that instruction was not executed */
    uint32_t inside;      /* the current block is counted whole, and goes on at pc */
} td_debug;

/* What Python reads and writes. Pointers first, then 64-bit, then 32-bit fields: no padding on any host. */
typedef struct {
    void *engine;
    td_reg_read reg_read;
    td_stop stop;
    td_heartbeat heartbeat;
    td_python_read python_read;
    td_python_write python_write;
    td_step_ended step_ended; /* NULL: nobody wants to know */
    const uint32_t *function_starts; /* sorted; a function reaches to the next start */
    const uint8_t *function_traps;   /* 1: entering it ends the run */
    uint64_t *function_counts;       /* [function_total + 1]; the last is for code without a symbol */
    td_region *regions;
    td_block *blocks;
    uint32_t *table;
    td_step *steps;
    const uint32_t *costs; /* [TD_COST_TOTAL]; NULL: no timing model */
    td_trace *trace;       /* NULL: nothing is recorded */
    td_debug *debug;       /* NULL: no debugger */

    uint64_t instructions;
    uint64_t cycles;
    uint64_t max_instructions;
    uint64_t beat_every;
    uint64_t next_beat;
    uint64_t step_start;
    uint64_t step_start_cycles;
    uint64_t cycle_base; /* DWT: CYCCNT = executed - cycle_base while it runs */

    uint32_t function_total;
    uint32_t region_total;
    uint32_t block_total;
    uint32_t block_room;
    uint32_t table_bits;
    uint32_t step_total;
    uint32_t step_room;
    uint32_t step_current; /* index into steps, or TD_NO_STEP */
    uint32_t reason;
    uint32_t reason_pc;
    uint32_t reason_address;
    uint32_t current; /* index of the block that runs, or TD_NO_STEP before the first */
    uint32_t accesses_after; /* port accesses of the current block up to this address are done */
    uint32_t stack_limit;    /* 0: not watched */
    uint32_t stack_lowest;
    uint32_t stack_dirty;
    uint32_t deny;
    uint32_t fpu_enabled;
    uint32_t marker_address; /* 0: none */
    uint32_t has_cycle_counter;
    uint32_t cycle_enabled;
    uint32_t cycle_frozen;
    uint32_t steps_dropped;
    uint32_t unused;
} td_state;

/* Unicorn's numbers for r0..r12, sp, lr, pc. */
static const int register_ids[16] = {66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 12, 10, 11};

static uint32_t read_register(const td_state *s, unsigned number) {
    uint32_t value = 0;
    s->reg_read(s->engine, register_ids[number & 15u], &value);
    return value;
}

static const td_region *region_of(const td_state *s, uint32_t address) {
    for (uint32_t i = 0; i < s->region_total; i++)
        if (address - s->regions[i].base < s->regions[i].bytes) return &s->regions[i];
    return NULL;
}

/* The halfword at an address; 0 outside the memories. */
static uint32_t halfword(const td_state *s, uint32_t address) {
    const td_region *r = region_of(s, address);
    uint32_t offset;
    if (r == NULL) return 0;
    offset = address - r->base;
    if (r->bytes - offset < 2) return 0;
    return (uint32_t)r->host[offset] | (uint32_t)r->host[offset + 1] << 8;
}

static int is_wide(uint32_t first) { return first >= 0xE800u; }

/* What one instruction does to the stack pointer: adds *change, or something that only running it shows (returns 0). */
static int stack_change(uint32_t a, uint32_t b, int32_t *change) {
    *change = 0;
    if (!is_wide(a)) {
        if ((a & 0xFE00u) == 0xB400u) *change = -(int32_t)(4 * bits_set(a & 0x1FFu));
        else if ((a & 0xFE00u) == 0xBC00u) *change = (int32_t)(4 * bits_set(a & 0x1FFu));
        else if ((a & 0xFF80u) == 0xB080u) *change = -(int32_t)((a & 0x7Fu) * 4);
        else if ((a & 0xFF80u) == 0xB000u) *change = (int32_t)((a & 0x7Fu) * 4);
        else if ((a & 0xFD87u) == 0x4485u) return 0; /* add sp, r; mov sp, r */
        return 1;
    }
    if (a == 0xE92Du) { *change = -(int32_t)(4 * bits_set(b)); return 1; }
    if (a == 0xE8BDu) { *change = (int32_t)(4 * bits_set(b)); return 1; }
    if ((a & 0xFFBFu) == 0xED2Du) { *change = -(int32_t)((b & 0xFFu) * 4); return 1; }
    if ((a & 0xFFBFu) == 0xECBDu) { *change = (int32_t)((b & 0xFFu) * 4); return 1; }
    if ((a == 0xF84Du || a == 0xF85Du) && (b & 0x0900u) == 0x0900u) { /* str/ldr with write-back */
        if (a == 0xF85Du && b >> 12 == 13) return 0;
        *change = (b & 0x0200u) ? (int32_t)(b & 0xFFu) : -(int32_t)(b & 0xFFu);
        return 1;
    }
    if ((a & 0xFE6Fu) == 0xE86Du) { /* strd/ldrd with write-back */
        *change = (a & 0x80u) ? (int32_t)((b & 0xFFu) * 4) : -(int32_t)((b & 0xFFu) * 4);
        return 1;
    }
    if ((a == 0xF2ADu || a == 0xF20Du) && (b & 0x8F00u) == 0x0D00u) { /* subw/addw sp, sp, #imm12 */
        int32_t amount = (int32_t)((b & 0xFFu) | (b & 0x7000u) >> 4 | (a & 0x400u) << 1);
        *change = a == 0xF2ADu ? -amount : amount;
        return 1;
    }
    if ((a & 0xFBEFu) == 0xF1ADu && (b & 0x8F00u) == 0x0D00u) { /* sub.w sp, sp, #modified immediate */
        uint32_t imm12 = (b & 0xFFu) | (b & 0x7000u) >> 4 | (a & 0x400u) << 1;
        uint32_t value;
        if (imm12 & 0xC00u) {
            uint32_t rotation = imm12 >> 7, byte = 0x80u | (imm12 & 0x7Fu);
            value = byte >> rotation | byte << (32 - rotation);
        } else if (imm12 < 0x100u) {
            value = imm12;
        } else {
            return 0;
        }
        if (value > 0x10000000u) return 0;
        *change = -(int32_t)value;
        return 1;
    }
    if ((a & 0xFE80u) == 0xF880u) return b >> 12 != 13;                    /* load, store with a 12-bit offset */
    if ((a & 0xFE40u) == 0xE800u) return (a & 15u) != 13 || !(a & 0x20u);  /* load, store multiple */
    if ((a & 0xFF00u) == 0xED00u && !(a & 0x20u)) return 1;                /* vldr, vstr */
    if ((a & 0xF800u) == 0xF000u && (b & 0x8000u)) return (a & 0xFFE0u) != 0xF380u || (b & 0xD000u) != 0x8000u;
    if ((a & 0xFC00u) == 0xEC00u) return (a & 15u) != 13 || !(a & 0x20u);
    return (a & 15u) != 13 && (b >> 8 & 15u) != 13 && b >> 12 != 13;
}

static int is_fpu(uint32_t a, uint32_t b) { return (a & 0xEC00u) == 0xEC00u && (b & 0x0E00u) == 0x0A00u; }

/* Instructions that Unicorn runs although the board's core does not have them. */
static int is_denied(uint32_t deny, uint32_t a, uint32_t b) {
    if (!is_wide(a)) return 0;
    if ((deny & TD_DENY_FPU) && is_fpu(a, b)) return 1;
    if (deny & TD_DENY_DOUBLE) {
        if ((a & 0xEF00u) == 0xEE00u && (b & 0x0F10u) == 0x0B00u) return 1;
        if ((a & 0xFFBFu) == 0xEEB7u && (b & 0x0ED0u) == 0x0AC0u) return 1; /* vcvt.f64.f32 */
    }
    if (deny & TD_DENY_DSP) {
        uint32_t op = a & 0xFFF0u;
        if (op == 0xEAC0u) return 1;                                              /* pkhbt, pkhtb */
        if ((op == 0xF320u || op == 0xF3A0u) && (b & 0xF0C0u) == 0) return 1;     /* ssat16, usat16 */
        if (op >= 0xFB10u && op <= 0xFB70u) return 1;                             /* smlaxy, smlad, smmla, usad8, … */
        if ((op == 0xFBC0u || op == 0xFBD0u) && (b & 0x0080u)) return 1;          /* smlalxy, smlald, smlsld */
        if (op == 0xFBE0u && (b & 0x00F0u) == 0x0060u) return 1;                  /* umaal */
        if (op >= 0xFA00u && op <= 0xFA50u && (b & 0xF080u) == 0xF080u)           /* sxtab16, sxtb16, sxtab, … */
            return op == 0xFA20u || op == 0xFA30u || (a & 15u) != 15;
        if (op >= 0xFA80u && op <= 0xFAE0u && (b & 0xF080u) == 0xF000u) return 1; /* sadd16, uqsub8, … */
        if ((op == 0xFA80u || op == 0xFAA0u) && (b & 0xF0C0u) == 0xF080u) return 1; /* qadd, …, sel */
    }
    return 0;
}

static uint32_t function_at(const td_state *s, uint32_t address) {
    uint32_t low = 0, high = s->function_total;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (s->function_starts[middle] <= address) low = middle + 1;
        else high = middle;
    }
    return low == 0 ? s->function_total : low - 1;
}

enum { TD_PREDICTS = 4, TD_WEAKLY_NOT_TAKEN = 1, TD_WEAKLY_TAKEN = 2, TD_SURELY_TAKEN = 3 };

/* How many instructions behind this one are conditional: `it` starts a count, each instruction takes one off. */
static uint32_t conditional_after(uint32_t a, uint32_t conditional) {
    if ((a & 0xFF00u) == 0xBF00u && (a & 0xFu)) /* it: the lowest set bit of the mask ends it */
        return (a & 1u) ? 4 : (a & 2u) ? 3 : (a & 4u) ? 2 : 1;
    return conditional ? conditional - 1 : 0;
}

/* Modelled cycles of the instructions in [at, end). With `block`, also what its last branch costs when it is taken. */
static uint32_t model_cycles(const td_state *s, uint32_t at, uint32_t end, td_block *block) {
    const uint32_t *c = s->costs;
    uint32_t cycles = 0, conditional = 0, more = 0;
    td_single single = {0, 0, 0, 0};
    td_dual dual;
    if (c == NULL) return 0;
    dual_begin(&dual);
    while (at < end) {
        uint32_t a = halfword(s, at), b = is_wide(a) ? halfword(s, at + 2) : 0;
        td_op op;
        read_instruction(&op, a, b);
        if (conditional && op.jumps) op.conditional = 1;
        if (c[TD_COST_issue_width] == 2) dual_issue(c, &op, &dual);
        else cycles += single_cost(c, &op, &single);
        more = taken_more(c, &op);
        if (!op.conditional) {
            cycles += more;
            more = 0;
        }
        if (block != NULL)
            block->predictor = op.conditional && c[TD_COST_mispredict] ? TD_PREDICTS | TD_WEAKLY_NOT_TAKEN : 0;
        conditional = conditional_after(a, conditional);
        at += is_wide(a) ? 4 : 2;
    }
    if (block != NULL) {
        int unaligned = (block->address & 2u) && is_wide(halfword(s, block->address));
        block->taken_more = more;
        block->entry_more = unaligned ? c[TD_COST_unaligned_target] : 0;
    }
    return c[TD_COST_issue_width] == 2 ? cycles + (uint32_t)dual.now + 1 : cycles;
}

/* What the way from one block to the next costs. */
static uint32_t branch_cycles(const td_state *s, td_block *from, const td_block *to) {
    uint32_t taken = to->address != from->address + from->size, cycles = taken ? from->taken_more + to->entry_more : 0;
    if (from->predictor & TD_PREDICTS) {
        uint32_t counter = from->predictor & 3u;
        if ((counter >= TD_WEAKLY_TAKEN) != taken) cycles += s->costs[TD_COST_mispredict];
        if (taken && counter < TD_SURELY_TAKEN) from->predictor++;
        if (!taken && counter > 0) from->predictor--;
    }
    return cycles;
}

static void decode(const td_state *s, td_block *block) {
    uint32_t at = block->address, end = block->address + block->size, count = 0, conditional = 0, code = 0;
    int32_t sp = 0, low = 0;
    uint32_t flags = 0;
    const td_region *region = region_of(s, at);

    block->special = 0;
    while (at < end) {
        uint32_t a = halfword(s, at), b = 0, length = 2;
        int32_t change;
        if (is_wide(a)) {
            b = halfword(s, at + 2);
            length = 4;
        }
        count++;
        code = (code ^ a) * 16777619u; /* FNV-1a, by halfwords */
        code = (code ^ b) * 16777619u;
        if (!(flags & TD_STACK_DYNAMIC)) {
            if (!stack_change(a, b, &change) || (conditional && change != 0)) {
                flags |= TD_STACK_DYNAMIC;
            } else {
                sp += change;
                if (sp < low) low = sp;
            }
        }
        if (!(flags & TD_HAS_UNDEFINED)) {
            if (is_denied(s->deny, a, b) && !conditional) {
                flags |= TD_HAS_UNDEFINED;
                block->special = at;
            } else if (is_wide(a) && is_fpu(a, b) && !(flags & TD_USES_FPU)) {
                flags |= TD_USES_FPU;
                block->special = at;
            }
        }
        conditional = conditional_after(a, conditional);
        if (count == 1 && ((a == 0xE7FEu) || (a == 0xF7FFu && b == 0xBFFEu))) flags |= TD_IS_SELF_LOOP;
        at += length;
    }
    if (low < 0) flags |= TD_STACK_STATIC;
    block->count = count;
    block->stack_low = low;
    block->function = function_at(s, block->address);
    if (block->function < s->function_total && s->function_traps[block->function] &&
        s->function_starts[block->function] == block->address)
        flags |= TD_IS_TRAP;
    block->flags = flags;
    block->rewritable = region == NULL || region->writable;
    code |= 1;
    if (code != block->code) block->cycles = model_cycles(s, block->address, end, block);
    block->code = code;
}

static uint32_t slot_of(const td_state *s, uint32_t address) {
    return (uint32_t)((address >> 1) * 2654435769u) >> (32 - s->table_bits);
}

static void insert(td_state *s, uint32_t index) {
    uint32_t mask = (1u << s->table_bits) - 1, slot = slot_of(s, s->blocks[index].address);
    while (s->table[slot] != TD_NO_STEP) slot = (slot + 1) & mask;
    s->table[slot] = index;
}

static int grow(td_state *s) {
    uint32_t room = s->block_room ? s->block_room * 2 : 4096, bits = s->table_bits ? s->table_bits + 1 : 14;
    td_block *blocks = realloc(s->blocks, room * sizeof *blocks);
    uint32_t *table;
    if (blocks == NULL) return 0;
    s->blocks = blocks;
    table = realloc(s->table, ((size_t)1 << bits) * sizeof *table);
    if (table == NULL) return 0;
    memset(table, 0xFF, ((size_t)1 << bits) * sizeof *table);
    s->table = table;
    s->table_bits = bits;
    s->block_room = room;
    for (uint32_t i = 0; i < s->block_total; i++) insert(s, i);
    return 1;
}

static uint32_t find(td_state *s, uint32_t address, uint32_t size) {
    if (s->table_bits) {
        uint32_t mask = (1u << s->table_bits) - 1, slot = slot_of(s, address), index;
        while ((index = s->table[slot]) != TD_NO_STEP) {
            if (s->blocks[index].address == address && s->blocks[index].size == size) return index;
            slot = (slot + 1) & mask;
        }
    }
    if (s->block_total == s->block_room && !grow(s)) return TD_NO_STEP;
    s->blocks[s->block_total].address = address;
    s->blocks[s->block_total].size = size;
    s->blocks[s->block_total].next = TD_NO_STEP;
    s->blocks[s->block_total].predictor = s->blocks[s->block_total].code = 0;
    s->blocks[s->block_total].taken_more = s->blocks[s->block_total].entry_more = 0;
    decode(s, &s->blocks[s->block_total]);
    insert(s, s->block_total);
    return s->block_total++;
}

static void end_run(td_state *s, uint32_t reason, uint32_t pc, uint32_t address) {
    if (s->reason != TD_RUNNING) return;
    s->reason = reason;
    s->reason_pc = pc;
    s->reason_address = address;
    s->stop(s->engine);
}

/* The instruction of a block at which the stack pointer passes the limit. */
static uint32_t overflow_pc(const td_state *s, const td_block *block, uint32_t sp) {
    uint32_t at = block->address;
    while (at < block->address + block->size) {
        uint32_t a = halfword(s, at), b = is_wide(a) ? halfword(s, at + 2) : 0;
        int32_t change;
        if (!stack_change(a, b, &change)) break;
        sp += (uint32_t)change;
        if (sp < s->stack_limit) return at;
        at += is_wide(a) ? 4 : 2;
    }
    return block->address;
}

/* What is rare; returns 0 when the block must not run. */
static int look_closely(td_state *s, const td_block *block) {
    if (block->flags & TD_IS_TRAP) {
        end_run(s, TD_TRAP, block->address, block->address);
        return 0;
    }
    if (s->stack_dirty || (block->flags & (TD_STACK_STATIC | TD_STACK_DYNAMIC))) {
        uint32_t sp = read_register(s, 13), low = sp + (uint32_t)block->stack_low;
        if (low > sp) low = 0; /* below address 0 */
        if (low < s->stack_lowest) s->stack_lowest = low;
        if (s->stack_limit != 0 && low < s->stack_limit) {
            end_run(s, TD_STACK_OVERFLOW, sp < s->stack_limit ? block->address : overflow_pc(s, block, sp), low);
            return 0;
        }
        s->stack_dirty = (block->flags & TD_STACK_DYNAMIC) != 0;
    }
    if (block->flags & TD_HAS_UNDEFINED) {
        end_run(s, TD_UNDEFINED, block->special, block->special);
        return 0;
    }
    if ((block->flags & TD_USES_FPU) && !s->fpu_enabled) {
        end_run(s, TD_FPU_OFF, block->special, block->special);
        return 0;
    }
    if (block->flags & TD_IS_SELF_LOOP) {
        end_run(s, TD_SELF_LOOP, block->address, block->address);
        return 0;
    }
    return 1;
}

/* The block that begins, as an index; TD_NO_STEP when it must not run. */
TD_INLINE uint32_t begin_block(td_state *s, uint32_t address, uint32_t size) {
    uint32_t index;
    td_block *block;
    if (s->reason != TD_RUNNING) {
        s->stop(s->engine);
        return TD_NO_STEP;
    }
    index = s->current == TD_NO_STEP ? TD_NO_STEP : s->blocks[s->current].next;
    if (index == TD_NO_STEP || s->blocks[index].address != address || s->blocks[index].size != size) {
        index = find(s, address, size);
        if (index == TD_NO_STEP) {
            end_run(s, TD_OUT_OF_MEMORY, address, address);
            return TD_NO_STEP;
        }
        if (s->current != TD_NO_STEP) s->blocks[s->current].next = index;
    }
    block = &s->blocks[index];
    if (block->rewritable) decode(s, block);
    if ((s->stack_dirty | block->flags) != 0 && !look_closely(s, block)) return TD_NO_STEP;
    if (s->instructions + block->count > s->next_beat) {
        if (s->instructions + block->count > s->max_instructions) {
            end_run(s, TD_COUNT_LIMIT, block->address, block->address);
            return TD_NO_STEP;
        }
        s->next_beat = s->instructions + block->count + s->beat_every;
        if (s->next_beat > s->max_instructions) s->next_beat = s->max_instructions;
        if (s->heartbeat()) {
            end_run(s, TD_HEARTBEAT, block->address, block->address);
            return TD_NO_STEP;
        }
    }
    return index;
}

TD_INLINE void count_block(td_state *s, uint32_t index) {
    const td_block *block = &s->blocks[index];
    if (s->current != TD_NO_STEP) s->cycles += branch_cycles(s, &s->blocks[s->current], block);
    s->current = index;
    s->accesses_after = 0;
    s->instructions += block->count;
    s->cycles += block->cycles;
    s->function_counts[block->function] += block->count;
}

/* UC_HOOK_BLOCK. */
TD_EXPORT void td_on_block(void *engine, uint64_t address, uint32_t size, void *user) {
    td_state *s = user;
    uint32_t index = begin_block(s, (uint32_t)address, size);
    (void)engine;
    if (index != TD_NO_STEP) count_block(s, index);
}

/* How many instructions of the current block lie at `pc` or behind it. */
TD_EXPORT uint32_t td_rest_of_block(const td_state *s, uint32_t pc) {
    uint32_t at, rest = 0;
    const td_block *block;
    if (s->current == TD_NO_STEP) return 0;
    block = &s->blocks[s->current];
    if (pc < block->address || pc >= block->address + block->size) return 0;
    for (at = block->address; at < block->address + block->size; at += is_wide(halfword(s, at)) ? 4 : 2)
        if (at >= pc) rest++;
    return rest;
}

/* Takes back the instructions of the current block from `pc` on, which were not executed. */
static void take_back(td_state *s, uint32_t pc) {
    uint32_t rest = td_rest_of_block(s, pc);
    const td_block *block;
    if (!rest) return;
    block = &s->blocks[s->current];
    s->instructions -= rest;
    s->function_counts[block->function] -= rest;
    s->cycles -= block->cycles - model_cycles(s, block->address, pc, NULL);
}

static void record(td_trace *t, uint32_t kind, uint32_t what, td_moment now) {
    td_event *event;
    if (t->full) return;
    if (t->total == t->room) {
        uint64_t room = t->room ? t->room * 2 : 4096;
        td_event *events;
        if (room > t->room_limit) room = t->room_limit;
        events = room > t->room ? realloc(t->events, (size_t)room * sizeof *events) : NULL;
        if (events == NULL) {
            t->full = 1;
            return;
        }
        t->events = events;
        t->room = room;
    }
    event = &t->events[t->total++];
    event->instructions = now.instructions;
    event->cycles = now.cycles;
    event->kind = kind;
    event->what = what;
}

static void push(td_trace *t, td_frame frame, td_moment now) {
    if (t->depth == t->frame_room) {
        uint32_t room = t->frame_room ? t->frame_room * 2 : 64;
        td_frame *frames = realloc(t->frames, room * sizeof *frames);
        if (frames == NULL) {
            t->full = 1;
            return;
        }
        t->frames = frames;
        t->frame_room = room;
    }
    t->frames[t->depth++] = frame;
    record(t, TD_CALL, frame.function, now);
}

static void pop(td_trace *t, td_moment now) {
    t->depth--;
    record(t, TD_RETURN, 0, now);
}

/* Calls and returns on the way to a block. Afterwards the innermost frame is of the block's function, so that what a
 * trace adds up to is what the counts are.
 *
 * A call leaves its own end in lr; a return goes there with the stack pointer that the function began with. What goes
 * elsewhere went back to a caller further out (longjmp, or a helper that returns past its call), if that is where it
 * arrives and the frames on the way have given their stack back; and else jumped. */
static void follow(td_state *s, const td_block *to) {
    td_trace *t = s->trace;
    td_moment now = {s->instructions, s->cycles};
    td_frame *top = t->depth ? &t->frames[t->depth - 1] : NULL;
    int entry = to->function < s->function_total && s->function_starts[to->function] == to->address;
    uint32_t sp, end, depth;
    if (t->full) return;
    if (top != NULL && to->address != top->returns_to && to->function == top->function && !entry) return;
    sp = read_register(s, 13);
    if (top == NULL || s->current == TD_NO_STEP) {
        td_frame first = {to->function, TD_NO_STEP, sp, 0};
        push(t, first, now);
        return;
    }
    if (to->address == top->returns_to && sp >= top->sp && t->depth > 1 && top[-1].function == to->function) {
        pop(t, now);
        return;
    }
    end = s->blocks[s->current].address + s->blocks[s->current].size;
    if (to->address != end && read_register(s, 14) == (end | 1u)) {
        td_frame called = {to->function, end, sp, 0};
        push(t, called, now);
        return;
    }
    if (to->function == top->function) return;
    for (depth = t->depth; depth > 1 && sp >= t->frames[depth - 1].sp; depth--) {
        if (t->frames[depth - 2].function == to->function) {
            while (t->depth >= depth) pop(t, now);
            return;
        }
    }
    top->function = to->function;
    record(t, TD_JUMP, to->function, now);
}

/* UC_HOOK_BLOCK of a run that is traced or debugged. */
TD_EXPORT void td_on_watched_block(void *engine, uint64_t address, uint32_t size, void *user) {
    td_state *s = user;
    td_debug *d = s->debug;
    uint32_t index;
    (void)engine;
    if (d != NULL && d->inside) {
        const td_block *block = &s->blocks[s->current];
        d->inside = 0;
        if (d->pc == (uint32_t)address && d->pc + size == block->address + block->size) return; /* is counted */
        take_back(s, d->pc);
    }
    index = begin_block(s, (uint32_t)address, size);
    if (index == TD_NO_STEP) return;
    if (s->trace != NULL) follow(s, &s->blocks[index]);
    count_block(s, index);
}

/* Whether the instruction at `pc` of the current block is one that an IT block makes conditional. */
static int is_conditional(const td_state *s, uint32_t pc) {
    const td_block *block = &s->blocks[s->current];
    uint32_t at, conditional = 0;
    for (at = block->address; at < pc; at += is_wide(halfword(s, at)) ? 4 : 2)
        conditional = conditional_after(halfword(s, at), conditional);
    return conditional != 0;
}

/* UC_HOOK_CODE of a run that is debugged. It halts behind an IT block rather than inside: Unicorn leaves out which of
 * its instructions are still to come. */
TD_EXPORT void td_on_instruction(void *engine, uint64_t address, uint32_t size, void *user) {
    td_state *s = user;
    td_debug *d = s->debug;
    uint32_t why = TD_NOT_HALTED, i;
    (void)engine;
    (void)size;
    if (s->reason != TD_RUNNING || d->halted) {
        s->stop(s->engine);
        return;
    }
    if (d->moving) {
        d->moving = 0;
        return;
    }
    if (d->watch_hit) why = TD_WATCHPOINT;
    else if (d->interrupted) why = TD_INTERRUPTED;
    for (i = 0; i < d->breakpoint_total && !why; i++)
        if (d->breakpoints[i] == (uint32_t)address) why = TD_BREAKPOINT;
    if (!why && d->stepping) why = TD_STEPPED;
    if (!why || is_conditional(s, (uint32_t)address)) return;
    d->halted = why;
    d->pc = (uint32_t)address;
    d->inside = 1;
    s->stop(s->engine);
}

/* Whether the instruction is a word load or store of `address`, given the registers as they are now. */
static int accesses(const td_state *s, uint32_t a, uint32_t b, uint32_t address, int store, uint32_t value) {
    uint32_t base, target, where;
    if (!is_wide(a)) {
        if ((a & 0xF800u) == (store ? 0x6000u : 0x6800u)) {
            base = a >> 3 & 7u;
            target = a & 7u;
            where = read_register(s, base) + (a >> 6 & 31u) * 4;
        } else if ((a & 0xFE00u) == (store ? 0x5000u : 0x5800u)) {
            base = a >> 3 & 7u;
            target = a & 7u;
            where = read_register(s, base) + read_register(s, a >> 6 & 7u);
        } else {
            return 0;
        }
    } else {
        base = a & 15u;
        target = b >> 12;
        if ((a & 0xFFF0u) == (store ? 0xF8C0u : 0xF8D0u) && base != 15) {
            where = read_register(s, base) + (b & 0xFFFu);
        } else if ((a & 0xFFF0u) == (store ? 0xF840u : 0xF850u) && base != 15) {
            if ((b & 0x0FC0u) == 0) where = read_register(s, base) + (read_register(s, b & 15u) << (b >> 4 & 3u));
            else if (!(b & 0x0800u)) return 0;
            else if (!(b & 0x0400u)) where = read_register(s, base); /* post-indexed */
            else where = read_register(s, base) + ((b & 0x0200u) ? (b & 0xFFu) : 0u - (b & 0xFFu));
        } else {
            return 0;
        }
    }
    return where == address && (!store || read_register(s, target) == value);
}

/* The point in the run when a port is accessed, the accessing instruction included. Unicorn does not say which one it
 * is, so it is found: the next one in the block whose address and, for a store, value are those of the access. */
static td_moment moment_of_access(td_state *s, uint32_t address, int store, uint32_t value) {
    const td_block *block;
    uint32_t at;
    td_moment now = {s->instructions, s->cycles};
    if (s->current == TD_NO_STEP) return now;
    block = &s->blocks[s->current];
    for (at = block->address; at < block->address + block->size;) {
        uint32_t a = halfword(s, at), b = is_wide(a) ? halfword(s, at + 2) : 0, next = at + (is_wide(a) ? 4 : 2);
        if (at >= s->accesses_after && accesses(s, a, b, address, store, value)) {
            s->accesses_after = next;
            now.instructions -= td_rest_of_block(s, next);
            now.cycles -= block->cycles - model_cycles(s, block->address, next, NULL);
            return now;
        }
        at = next;
    }
    return now;
}

static uint64_t executed_at_access(td_state *s, uint32_t address, int store, uint32_t value) {
    return moment_of_access(s, address, store, value).instructions;
}

static void close_step(td_state *s, td_moment now) {
    if (s->step_current != TD_NO_STEP && now.instructions >= s->step_start) {
        s->steps[s->step_current].count += now.instructions - s->step_start;
        s->steps[s->step_current].cycles += now.cycles - s->step_start_cycles;
    }
    s->step_start = now.instructions;
    s->step_start_cycles = now.cycles;
    if (s->step_current != TD_NO_STEP && s->step_ended != NULL) s->step_ended(s->steps[s->step_current].id);
}

static void mark(td_state *s, uint32_t id, td_moment now) {
    uint32_t i, start;
    if (s->trace != NULL) record(s->trace, TD_MARK, id, now);
    close_step(s, now);
    start = s->step_current == TD_NO_STEP ? 0 : s->step_current + 1;
    s->step_current = TD_NO_STEP;
    if (id == TD_NO_STEP) return;
    for (i = 0; i < s->step_total; i++) { /* steps come in order, so the next one is nearly always the first tried */
        uint32_t k = start + i < s->step_total ? start + i : start + i - s->step_total;
        if (s->steps[k].id == id) {
            s->step_current = k;
            return;
        }
    }
    if (s->step_total == TD_MAX_STEPS) {
        s->steps_dropped++;
        return;
    }
    if (s->step_total == s->step_room) {
        uint32_t room = s->step_room ? s->step_room * 2 : 256;
        td_step *steps = realloc(s->steps, room * sizeof *steps);
        if (steps == NULL) {
            s->steps_dropped++;
            return;
        }
        s->steps = steps;
        s->step_room = room;
    }
    s->steps[s->step_total].id = id;
    s->steps[s->step_total].count = 0;
    s->steps[s->step_total].cycles = 0;
    s->step_current = s->step_total++;
}

/* Lets the heartbeat come by time, too, when a run does little but talk to Python. */
static void count_port_work(td_state *s) {
    s->next_beat = s->next_beat > s->instructions + TD_PORT_WORK ? s->next_beat - TD_PORT_WORK : s->instructions;
}

static const uint32_t DWT_CTRL = 0xE0001000u, DWT_CYCCNT = 0xE0001004u;

/* Instructions executed up to and with the port access that is under way. */
TD_EXPORT uint64_t td_executed(td_state *s, uint32_t address, uint32_t store, uint32_t value) {
    return executed_at_access(s, address, store != 0, value);
}

/* A port region: what uc_mmio_map is given, once per region. */
typedef struct {
    td_state *state;
    uint32_t base;
    uint32_t unused;
} td_port;

TD_EXPORT uint64_t td_port_read(void *engine, uint64_t offset, unsigned size, void *user) {
    td_port *port = user;
    td_state *s = port->state;
    uint32_t address = port->base + (uint32_t)offset;
    (void)engine;
    count_port_work(s);
    if (address == DWT_CYCCNT && s->has_cycle_counter) {
        if (!s->cycle_enabled) return s->cycle_frozen;
        return (uint32_t)(executed_at_access(s, address, 0, 0) - s->cycle_base);
    }
    return s->python_read(address, size);
}

TD_EXPORT void td_port_write(void *engine, uint64_t offset, unsigned size, uint64_t value, void *user) {
    td_port *port = user;
    td_state *s = port->state;
    uint32_t address = port->base + (uint32_t)offset;
    (void)engine;
    count_port_work(s);
    if (s->marker_address != 0 && address == s->marker_address) {
        mark(s, (uint32_t)value, moment_of_access(s, address, 1, (uint32_t)value));
        return;
    }
    if (s->has_cycle_counter && address == DWT_CYCCNT) {
        s->cycle_base = executed_at_access(s, address, 1, (uint32_t)value) - (uint32_t)value;
        s->cycle_frozen = (uint32_t)value;
        return;
    }
    if (s->has_cycle_counter && address == DWT_CTRL) {
        uint64_t now = executed_at_access(s, address, 1, (uint32_t)value);
        uint32_t enable = (uint32_t)value & 1u;
        if (enable && !s->cycle_enabled) s->cycle_base = now - s->cycle_frozen;
        if (!enable && s->cycle_enabled) s->cycle_frozen = (uint32_t)(now - s->cycle_base);
        s->cycle_enabled = enable;
    }
    s->python_write(address, size, (uint32_t)value);
}

TD_EXPORT uint32_t td_version(void) { return TD_VERSION; }
/* All that Python mirrors, together. */
TD_EXPORT uint32_t td_state_bytes(void) { return (uint32_t)(sizeof(td_state) + sizeof(td_trace) + sizeof(td_debug)); }
TD_EXPORT const char *td_cost_names(void) { return TD_COSTS(TD_COST_TEXT); }

/* Before the run: sets what is not zero at the start. */
TD_EXPORT void td_begin(td_state *s) {
    s->step_current = TD_NO_STEP;
    s->current = TD_NO_STEP;
    s->stack_lowest = 0xFFFFFFFFu;
    s->next_beat = s->beat_every < s->max_instructions ? s->beat_every : s->max_instructions;
}

/* After the run: takes back the instructions of the current block from `pc` on, which were not executed, and ends its
 * step. A pc outside takes nothing back. */
TD_EXPORT void td_end(td_state *s, uint32_t pc) {
    td_moment now;
    take_back(s, pc);
    now.instructions = s->instructions;
    now.cycles = s->cycles;
    close_step(s, now);
}

TD_EXPORT void td_free(td_state *s) {
    free(s->blocks);
    free(s->table);
    free(s->steps);
    s->blocks = NULL;
    s->table = NULL;
    s->steps = NULL;
    if (s->trace != NULL) {
        free(s->trace->events);
        free(s->trace->frames);
        s->trace->events = NULL;
        s->trace->frames = NULL;
    }
}
