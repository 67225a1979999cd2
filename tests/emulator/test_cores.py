"""Each core runs what it has and refuses what it lacks, also where Unicorn's model has more."""

from __future__ import annotations

import pytest

from tests.support.firmware import build, function, needs_any, needs_unicorn, run, run_image, variant
from tinydeploy.boards import find_board
from tinydeploy.emulate import Job, UnicornEmulator
from tinydeploy.errors import UsageError

pytestmark = [needs_unicorn, needs_any]

# encodings are written out: the assembler would refuse them for the smaller core
VADD_F64 = ".inst.w 0xEE300B01"  # vadd.f64 d0, d0, d1
VADD_F32 = ".inst.w 0xEE300A20"  # vadd.f32 s0, s0, s1
VCVT_F64_F32 = ".inst.w 0xEEB70AC0"  # vcvt.f64.f32 d0, s0
VMOV_PAIR = ".inst.w 0xEC410B10"  # vmov d0, r0, r1: a move, which single-precision units have
SMLAD = ".inst.w 0xFB210201"  # smlad r2, r1, r1, r0
SMLALBB = ".inst.w 0xFBC12081"  # smlalbb r2, r0, r1, r1
SXTB16 = ".inst.w 0xFA2FF081"  # sxtb16 r0, r1
SXTAB = ".inst.w 0xFA40F081"  # sxtab r0, r0, r1
UADD8 = ".inst.w 0xFA80F041"  # uadd8 r0, r0, r1
QADD = ".inst.w 0xFA81F080"  # qadd r0, r0, r1
SEL = ".inst.w 0xFAA0F081"  # sel r0, r0, r1
PKHBT = ".inst.w 0xEAC00001"  # pkhbt r0, r0, r1
SSAT16 = ".inst.w 0xF3200007"  # ssat16 r0, #8, r0
SMMUL = ".inst.w 0xFB50F001"  # smmul r0, r0, r1
UMAAL = ".inst.w 0xFBE20361"  # umaal r0, r3, r2, r1
SMULL = ".inst.w 0xFB820301"  # smull r0, r3, r2, r1
MLA = ".inst.w 0xFB000301"  # mla r3, r0, r1, r0
SXTB = ".inst.w 0xFA4FF081"  # sxtb.w r0, r1
CLZ = ".inst.w 0xFAB1F081"  # clz r0, r1
REV = ".inst.w 0xFA91F081"  # rev.w r0, r1
SSAT = ".inst.w 0xF3000007"  # ssat r0, #8, r0
UDIV = ".inst.w 0xFBB0F0F1"  # udiv r0, r0, r1
MUL = ".inst.w 0xFB04F106"  # mul r1, r4, r6
MLS = ".inst.w 0xFB000311"  # mls r3, r0, r1, r0
UMULL = ".inst.w 0xFBA20301"  # umull r0, r3, r2, r1
UMLAL = ".inst.w 0xFBE20301"  # umlal r0, r3, r2, r1
USAT = ".inst.w 0xF3800007"  # usat r0, #7, r0
LSL = ".inst.w 0xFA00F001"  # lsl.w r0, r0, r1

DSP = [SMLAD, SMLALBB, SXTB16, SXTAB, UADD8, QADD, SEL, PKHBT, SSAT16, SMMUL, UMAAL]
PLAIN = [SMULL, MLA, SXTB, CLZ, REV, SSAT, UDIV, LSL, MUL, MLS, UMULL, UMLAL, USAT]


def kind(board: str, instruction: str) -> str | None:
    """How running one instruction ends."""
    source = function("one", "movs r0, #1", "movs r1, #1", "movs r2, #1", "movs r3, #1", instruction, "bx lr")
    source += "void one(void); int main(void) { one(); return 0; }"
    result = run(source, board)
    if result.fault is not None:
        assert result.fault.function == "one"
        assert result.instructions_by_function.get("one", 0) in (0, 4)
    return None if result.fault is None else result.fault.kind


def test_m4_rejects_double_precision() -> None:
    assert kind("nucleo_f446re", VADD_F64) == "undefined-instruction"
    assert kind("nucleo_f446re", VADD_F32) is None


def test_single_precision_m7_rejects_double_precision_although_unicorn_does_not() -> None:
    assert find_board("stm32f746").core.fpu == "fpv5-sp-d16"
    assert kind("stm32f746", VADD_F64) == "undefined-instruction"
    assert kind("stm32f746", VCVT_F64_F32) == "undefined-instruction"
    assert kind("stm32f746", VMOV_PAIR) is None
    assert kind("stm32f746", VADD_F32) is None


def test_double_precision_m7_has_it() -> None:
    assert find_board("nucleo_h743zi").core.fpu == "fpv5-d16"
    assert kind("nucleo_h743zi", VADD_F64) is None


def test_m3_has_no_fpu() -> None:
    assert kind("nucleo_f103rb", VADD_F32) == "undefined-instruction"


@pytest.mark.parametrize("instruction", DSP)
def test_m3_rejects_the_dsp_extension_and_m4_has_it(instruction: str) -> None:
    assert kind("nucleo_f103rb", instruction) == "undefined-instruction"
    assert kind("nucleo_f446re", instruction) is None


@pytest.mark.parametrize("instruction", PLAIN)
def test_m3_keeps_what_looks_like_it(instruction: str) -> None:
    assert kind("nucleo_f103rb", instruction) is None
    assert kind("nucleo_g071rb", instruction) == "undefined-instruction"  # Armv6-M has none of these


def test_an_fpu_that_is_off() -> None:
    source = function("off", "ldr r0, =0xE000ED88", "movs r1, #0", "str r1, [r0]", "dsb", "isb", VADD_F32, "bx lr")
    result = run(source + "void off(void); int main(void) { off(); return 0; }", "nucleo_f446re")
    assert result.fault is not None
    assert (result.fault.kind, result.fault.function) == ("undefined-instruction", "off")
    assert "FPU is off" in result.fault.message


def test_m0_faults_on_unaligned_access_and_m4_does_not() -> None:
    source = function("askew", "ldr r0, =0x20000401", "ldr r1, [r0]", "bx lr")
    source += "void askew(void); int main(void) { askew(); return 0; }"
    result = run(source, "nucleo_g071rb")
    assert result.fault is not None
    assert (result.fault.kind, result.fault.function) == ("hard-fault", "askew")
    assert run(source, "nucleo_f446re").fault is None


def test_helium_is_refused_with_words() -> None:
    board = find_board("stm32f746")
    image = build("int main(void) { return 0; }", "stm32f746")
    with pytest.raises(UsageError, match="Helium"):
        UnicornEmulator().run(variant(board, name="cortex-m55", mve=True), Job(image.elf))
    with pytest.raises(UsageError, match="no cortex-m85"):
        UnicornEmulator().run(variant(board, name="cortex-m85"), Job(image.elf))


@pytest.mark.parametrize(
    ("board", "part"),
    [("nucleo_f103rb", 0xC23), ("nucleo_f446re", 0xC24), ("stm32f746", 0xC27), ("nucleo_u575zi_q", 0xD21)],
)
def test_the_core_says_what_it_is(board: str, part: int) -> None:
    # CPUID.PartNo, bits 15:4 (Armv7-M ARM, B3.2.3)
    result = run("int main(void) { return (int)((*(volatile unsigned *)0xE000ED00u >> 4) & 0xFFFu); }", board)
    assert result.exit_code == part


def test_an_instruction_that_an_it_block_skips_is_not_held_against_the_firmware() -> None:
    source = function("maybe", "movs r0, #0", "cmp r0, #0", "it ne", SMLAD, "bx lr")
    image = build(source + "void maybe(void); int main(void) { maybe(); return 0; }", "nucleo_f103rb")
    assert run_image(image, find_board("nucleo_f103rb")).fault is None
