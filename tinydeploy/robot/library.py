"""`Deploy`: the keywords."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tinydeploy import __version__
from tinydeploy.codegen.names import c_identifier
from tinydeploy.errors import GateError, RunError, UsageError
from tinydeploy.operators.registry import slow_kernel
from tinydeploy.pipeline import PlanOptions
from tinydeploy.robot.arguments import (
    CONVERTERS,
    Count,
    Effort,
    EmulatorName,
    Execution,
    FailureKind,
    Io,
    Latency,
    OnFault,
    Size,
    Solver,
    ToolchainName,
    one_of,
)
from tinydeploy.robot.failures import KeywordError, keyword, words
from tinydeploy.robot.figures import Figure, amount, find_layer, layer_name
from tinydeploy.robot.logs import log_blocks, log_line, log_warning
from tinydeploy.robot.outputs import compare_with_references, expected_values, find_output, first_difference
from tinydeploy.robot.results import Address, FirmwareRun, Result

if TYPE_CHECKING:
    from tinydeploy.boards import Board
    from tinydeploy.pipeline import Ran
    from tinydeploy.pipeline.emulators import Chosen
    from tinydeploy.verify import Array, Verification

R = TypeVar("R", Result, FirmwareRun)

DEFAULT_TIMEOUT = timedelta(minutes=2)
_SHOWN_UART = 400  # characters, the last ones


class Deploy:
    """Plans, builds and runs int8 TensorFlow Lite models on emulated microcontroller boards, and checks what they take.

    | *** Settings ***
    | Library    tinydeploy.robot.Deploy    board=stm32f746
    |
    | *** Test Cases ***
    | Keyword Spotting Fits And Is Fast
    |     Run On Board    kws
    |     Arena Should Be At Most           4 KiB
    |     Stack Should Be At Most           1 KiB
    |     Instructions Should Be At Most    8M
    |     Outputs Should Match Reference

    = The current result =

    `Plan Model`, `Build Model`, `Run On Board` and `Emulate Firmware` return a result, and make it the current one,
    which the checks are about. It stays the current one for the rest of the suite, so that a suite setup can run a
    model and each test check one thing. `Use Result` makes an earlier one current again.

    A result has its figures as attributes, in bytes, counts and milliseconds: ``${result.arena_bytes}``,
    ``stack_bytes``, ``static_bytes``, ``sram_bytes``, ``weights_bytes``, ``code_bytes``, ``flash_bytes``,
    ``instructions``, ``cycles``, ``latency_ms``, and ``fits``, ``model``, ``board``.

    = Kinds of figures =

    Every message says of what kind a figure is: *computed* from the model, the plan or the image; *emulated*, counted
    in a run; or *modelled* by a timing model of the core, as if memory never waited. A plan alone can only estimate the
    stack and the code: checks of these do not pass on an estimate but ask for a run or a build.

    = Models and boards =

    A model is the path of a .tflite file, or the name of a shipped one, such as ``digits`` or ``kws``. A board is an
    id or an alias that ``tinydeploy boards`` lists, or the path of a board file. Relative paths start where Robot
    Framework was started; ``${CURDIR}/model.tflite`` is beside the suite.

    = Emulators =

    ``unicorn`` is in a Python package and needs nothing else; ``renode`` needs Renode. Both catch accesses outside of
    the chip's memories, writes to flash, overflows of the stack and endless loops.
    """

    ROBOT_LIBRARY_SCOPE = "SUITE"
    ROBOT_LIBRARY_VERSION = __version__
    ROBOT_LIBRARY_CONVERTERS = CONVERTERS

    @keyword
    def __init__(
        self,
        board: str | None = None,
        emulator: EmulatorName = "unicorn",
        renode: str | None = None,
        toolchain: ToolchainName | None = None,
    ) -> None:
        """What holds for all keywords unless one says otherwise.

        ``renode``: the path of Renode, by default the one on PATH; ``renode=%{RENODE}`` takes it from the environment.
        ``toolchain``: by default ``gcc`` (arm-none-eabi-gcc) if it is on PATH, else ``zig`` (the ziglang package).
        """
        self._board = board
        self._emulator_name = one_of(EmulatorName, emulator, "emulator")
        self._renode = renode
        self._toolchain = None if toolchain is None else one_of(ToolchainName, toolchain, "toolchain")
        self._current: Result | FirmwareRun | None = None

    # what makes results

    @keyword
    def plan_model(
        self,
        model: str,
        board: str | None = None,
        execution: Execution = "streamed",
        feed_rows: bool = False,
        io: Io = "model",
        keep: list[str] | str | None = None,
        in_place: bool = True,
        solver: Solver = "auto",
        effort: Effort = "normal",
        time_limit: timedelta | None = None,
        stack_bytes: Size | None = None,
        reserve: list[str] | str | None = None,
        regions: str | None = None,
    ) -> Result:
        """Plan where a model's tensors live on a board. It takes no compiler, and is no failure if it does not fit.

        The options are those of ``tinydeploy plan``. ``execution``: ``streamed`` (row by row through several layers),
        ``overlap`` or ``whole``. ``feed_rows``: the application hands over inputs row by row. ``io=int8``: without the
        conversions at the ends. ``keep``: tensors that stay readable, by name or number. ``in_place=False``: no output
        over its input. ``time_limit``: of the search. ``stack_bytes``: kept for the stack instead of an estimate.
        ``reserve``: memory that is kept for other things, such as ``dtcm=16K``. ``regions``: the memories that the
        arena may use, such as ``dtcm,sram1``. `Build Model` and `Run On Board` without a model go on from this plan.

        Examples:
        | Plan Model    kws    board=stm32f746
        | Model Should Fit
        | ${plan}=    Plan Model    ${CURDIR}/model.tflite    execution=whole    reserve=dtcm=16K
        | Log    ${plan.arena_bytes} bytes
        """
        options = PlanOptions(
            execution=one_of(Execution, execution, "execution"),
            feed_rows=feed_rows,
            io=one_of(Io, io, "io"),
            keep=_several(keep),
            in_place=in_place,
            solver=one_of(Solver, solver, "solver"),
            effort=one_of(Effort, effort, "effort"),
            time_limit=None if time_limit is None else time_limit.total_seconds(),
            stack_bytes=stack_bytes,
            reserve=_several(reserve),
            regions=regions,
        )
        return self._now(self._plan(model, board, options))

    @keyword
    def build_model(self, model: str | None = None, board: str | None = None, folder: Path | None = None) -> Result:
        """Write a model's C library and compile it with its example into an image for the board.

        Without ``model`` the current plan is built. The result also has ``elf``, the image's path, ``folder``, where
        the library's sources are, ``arena_address`` and ``done_address``, where the image comes to when the outputs are
        there. It is an image as for a part, without the markers by which `Run On Board` counts layers. ``folder``:
        by default a new one below Robot Framework's output directory. Fails if the model does not fit.

        Examples:
        | ${built}=    Build Model    kws    board=stm32f746
        | Flash Should Be At Most    64 KiB
        | Execute Command    sysbus LoadELF @${built.elf}
        """
        from tinydeploy import pipeline

        result = self._planned(model, board)
        into = folder if folder is not None else self._new_folder(result)
        built = pipeline.build_image(
            self._fitting(result).planned, into.absolute(), toolchain=self._toolchain, markers=False
        )
        return self._now(Result(result.planned, built))

    @keyword
    def run_on_board(
        self,
        model: str | None = None,
        board: str | None = None,
        inputs: list[str] | str | None = None,
        samples: int = 1,
        seed: int = 0,
        emulator: EmulatorName | None = None,
        repl: Path | None = None,
        layers: bool = False,
        faults: OnFault = "fail",
    ) -> Result:
        """Run a model on an emulated board, once for each sample.

        Without ``model`` the current plan is run. ``inputs``: files, .npy or raw bytes, in the model's order or as
        ``name=file``; one more leading axis means several samples. Without them ``samples`` are made up from ``seed``.
        ``repl``: with Renode, a platform of your own instead of the board's. ``layers``: also keep what every layer
        computes, so that `Outputs Should Match Reference` names the first layer that differs.

        A run that ends in a fault, an overflow or a time-out fails the keyword. With ``faults=keep`` it is left to
        `Faults Should Be None` or `Run Should Have Failed With`; checks of what such a run would have shown fail.

        Examples:
        | Run On Board    kws    samples=3
        | ${result}=    Run On Board    kws    board=stm32u575    inputs=${CURDIR}/yes.npy
        | Log    ${result.instructions} instructions, ${result.stack_bytes} bytes of stack
        """
        from tinydeploy import pipeline
        from tinydeploy.verify import load_inputs, random_inputs

        one_of(OnFault, faults, "faults")
        result = self._fitting(self._planned(model, board))
        planned = result.planned
        using = self._emulator(emulator, planned.board, repl)
        named = _several(inputs)
        if named and (samples, seed) != (1, 0):
            raise UsageError("samples and seed are for made-up inputs, and inputs gives them")
        given = load_inputs(planned.model, named) if named else random_inputs(planned.model, seed, samples)
        with tempfile.TemporaryDirectory(prefix="tinydeploy-") as folder:
            built = pipeline.build_image(using.fitted(planned), Path(folder), toolchain=self._toolchain)
            try:
                ran = pipeline.run_model(built, using.emulator, given, layers=layers)
            except RunError as error:
                failed = self._now(Result(planned, result.image, fault=error))
                if faults == "fail":
                    raise
                return failed
        return self._now(Result(planned, result.image, ran))

    @keyword
    def emulate_firmware(
        self,
        elf: Path,
        board: str | None = None,
        emulator: EmulatorName | None = None,
        repl: Path | None = None,
        timeout: timedelta = DEFAULT_TIMEOUT,
        faults: OnFault = "fail",
    ) -> FirmwareRun:
        """Run an ELF of your own on an emulated board until it ends by semihosting (``exit()``).

        The result has ``uart`` (what it printed), ``exit_code`` and ``instructions``. ``timeout`` is of this computer's
        time, ``repl`` as for `Run On Board`. A fault, an overflow, a time-out or an exit code that is not 0 fails the
        keyword, unless ``faults=keep``.

        Example:
        | Emulate Firmware    ${CURDIR}/firmware.elf    board=stm32f746
        | UART Should Contain    self-test passed
        | Instructions Should Be At Most    40M
        """
        from tinydeploy.elf import read_elf
        from tinydeploy.emulate import Job

        one_of(OnFault, faults, "faults")
        target = self._found(board)
        image = read_elf(elf)
        using = self._emulator(emulator, target, repl)
        seen = using.emulator.run(target, Job(elf=elf, timeout_seconds=timeout.total_seconds()))
        fault = None
        if seen.fault is not None:
            fault = RunError(f"{elf.name} on {target.id}: {seen.fault.message}", kind=seen.fault.kind)
        elif seen.exit_code:
            fault = RunError(f"{elf.name} on {target.id} ended with exit code {seen.exit_code}", kind="exit-code")
        run = self._now(FirmwareRun(elf, image, target, seen, fault))
        if fault is not None and faults == "fail":
            raise fault
        return run

    @keyword
    def use_result(self, result: Result | FirmwareRun) -> None:
        """Make an earlier result the current one.

        Example:
        | ${small}=    Plan Model    digits
        | ${large}=    Plan Model    kws
        | Use Result    ${small}
        | Arena Should Be At Most    1 KiB
        """
        if not isinstance(result, Result | FirmwareRun):
            raise UsageError(
                f"{type(result).__name__} is no result", hint="Plan Model, Build Model and Run On Board return one"
            )
        self._current = result

    # checks of what it takes

    @keyword
    def model_should_fit(self) -> None:
        """Fails unless the board's memories are large enough for the model, and says by how much and for what.

        Example:
        | Plan Model    vww    board=nucleo_l432kc
        | Model Should Fit
        """
        result = self._model()
        if not result.fits:
            raise KeywordError(f"{result.subject} does not fit: {result.why_not()}")

    @keyword
    def model_should_not_fit(self) -> None:
        """Fails if the board's memories are large enough for the model.

        Example:
        | Plan Model    vww    board=nucleo_f030r8
        | Model Should Not Fit
        """
        result = self._model()
        if result.fits:
            free = result.planned.fit.sram.capacity_bytes - result.planned.fit.sram.used_bytes
            raise KeywordError(f"{result.subject} fits: {free:,} bytes of SRAM stay free")

    @keyword
    def arena_should_be_at_most(self, limit: Size) -> None:
        """Fails if the memory for all tensors is larger: computed by the plan.

        Example:
        | Arena Should Be At Most    8 KiB
        """
        self._hold("arena", limit)

    @keyword
    def stack_should_be_at_most(self, limit: Size) -> None:
        """Fails if the run used more stack, or the plan was told to keep more.

        Example:
        | Stack Should Be At Most    1,536
        """
        self._hold("stack", limit)

    @keyword
    def sram_should_be_at_most(self, limit: Size) -> None:
        """Fails if arena, stack as used by the run, and static data take more together.

        Example:
        | SRAM Should Be At Most    64 KiB
        """
        self._hold("SRAM", limit)

    @keyword
    def flash_should_be_at_most(self, limit: Size) -> None:
        """Fails if weights and code take more together: read from the image.

        Example:
        | Flash Should Be At Most    256 KiB
        """
        self._hold("flash", limit)

    @keyword
    def weights_should_be_at_most(self, limit: Size) -> None:
        """Fails if weights, biases, scales and tables take more flash.

        Example:
        | Weights Should Be At Most    200 KiB
        """
        self._hold("weights", limit)

    @keyword
    def code_should_be_at_most(self, limit: Size) -> None:
        """Fails if code, and all else in flash that is no weights, takes more: read from the image.

        Example:
        | Code Should Be At Most    16 KiB
        """
        self._hold("code", limit)

    @keyword
    def instructions_should_be_at_most(self, limit: Count, counted: Count | None = None) -> None:
        """Fails if one inference takes more instructions: emulated, exact by basic block, the most of any sample.

        For firmware of your own they are those from reset to its end. ``counted``: a number that was counted elsewhere,
        such as by Renode, to hold against the limit instead.

        Examples:
        | Instructions Should Be At Most    8M
        | ${counted}=    Execute Command    cpu ExecutedInstructions
        | Instructions Should Be At Most    8,000,000    counted=${counted}
        """
        if counted is None:
            self._hold("instructions", limit)
        else:
            self._judge(Figure("instructions", counted, "instructions", "counted elsewhere"), limit, "")

    @keyword
    def cycles_should_be_at_most(self, limit: Count) -> None:
        """Fails if the same takes more cycles: modelled, as if memory never waited.

        Example:
        | Cycles Should Be At Most    6M
        """
        self._hold("cycles", limit)

    @keyword
    def latency_should_be_at_most(self, limit: Latency) -> None:
        """Fails if the same takes longer at the board's clock: modelled, as if memory never waited.

        Example:
        | Latency Should Be At Most    30 ms
        """
        self._hold("latency", limit)

    @keyword
    def instructions_of_layer_should_be_at_most(self, layer: str, limit: Count) -> None:
        """Fails if one layer takes more instructions. ``layer``: its number, or the name of its output.

        Example:
        | Instructions Of Layer Should Be At Most    3    1M
        """
        result = self._model()
        result.figure("instructions")
        ran = self._ran(result)
        index = find_layer(result.planned.model, layer)
        name = layer_name(result.planned.model, index)
        count = ran.instructions_by_operator[index]
        kernel = slow_kernel(result.planned.model, result.planned.model.operators[index], result.planned.board.core)
        culprit = f"slow on this core: {kernel}" if kernel else ""
        self._judge(
            Figure(f"instructions of {name}", count, "instructions", "emulated", culprit), limit, result.subject
        )

    @keyword
    def no_layer_should_use_a_slow_kernel(self) -> None:
        """Fails if the kernel of a layer goes a slow way on the board's core, and says why.

        Example:
        | Plan Model    kws    board=stm32f746
        | No Layer Should Use A Slow Kernel
        """
        result = self._model()
        model, core = result.planned.model, result.planned.board.core
        slow = [(op, slow_kernel(model, op, core)) for op in model.operators]
        told = [f"{layer_name(model, op.index)}: {why}" for op, why in slow if why]
        if told:
            raise KeywordError(f"slow kernels in {len(told)} layer(s) of {result.subject}: {'; '.join(told)}")

    # checks of what it did

    @keyword
    def outputs_should_match_reference(self) -> None:
        """Fails unless the outputs are, bit by bit, those of TensorFlow Lite Micro's reference kernels.

        It takes the package tflite-micro: ``pip install 'tinydeploy[verify]'``. After `Run On Board` with
        ``layers=True`` every layer is compared.

        Example:
        | Run On Board    kws    samples=5    layers=True
        | Outputs Should Match Reference
        """
        from tinydeploy.verify import raise_on_difference

        result = self._model()
        ran = self._ran(result)
        verification = self._verified(result, ran)
        raise_on_difference(result.planned.prepared.original, verification)
        log_line(
            f"bit-exact with {verification.against} on {verification.inputs} samples, {verification.tensors} tensors"
        )

    @keyword
    def get_output(self, output: str | None = None, sample: int = 0) -> list[Any]:
        """An output's values as nested lists. ``output``: its name or its place (0 is the first), needed where there
        are several; ``sample``: counted from 0.

        Example:
        | ${scores}=    Get Output
        | Should Be True    max($scores[0]) == $scores[0][3]
        """
        return list(self._output(output, sample).tolist())

    @keyword
    def output_should_be(self, expected: list[Any] | str, output: str | None = None, sample: int = 0) -> None:
        """Fails unless an output has exactly these values. ``expected``: nested lists, or the path of a .npy file.

        ``output`` and ``sample``: as for `Get Output`. The shape must be the same, too.

        Example:
        | Run On Board    digits    inputs=${CURDIR}/three.npy
        | Output Should Be    ${CURDIR}/three_expected.npy
        """
        found = self._output(output, sample)
        difference = first_difference(found, expected_values(expected, found))
        if difference:
            raise KeywordError(f"another output of {self._model().subject}: {difference}")

    @keyword
    def faults_should_be_none(self) -> None:
        """Fails if the current run ended in a fault, an overflow, a time-out, or for firmware with an exit code not 0.

        It has something to find after ``faults=keep``, or where a failure of `Run On Board` was caught.

        Example:
        | Run On Board    kws    faults=keep
        | Faults Should Be None
        """
        fault = self._run().fault
        if fault is not None:
            raise KeywordError(f"the run failed ({fault.kind or 'unknown'}): {words(fault)}", fault)

    @keyword
    def run_should_have_failed_with(self, kind: FailureKind) -> None:
        """Fails unless the current run ended in a fault of this kind.

        ``exit-code`` is that of firmware which ended with another than 0.

        Example:
        | Plan Model    kws    stack_bytes=64
        | Run On Board    faults=keep
        | Run Should Have Failed With    stack-overflow
        """
        one_of(FailureKind, kind, "kind")
        run = self._run()
        if run.fault is None:
            raise KeywordError(f"the run of {run.subject} did not fail, it should have with {kind}")
        if run.fault.kind != kind:
            raise KeywordError(f"the run failed with {run.fault.kind}, not with {kind}: {words(run.fault)}", run.fault)

    @keyword
    def uart_should_contain(self, text: str) -> None:
        """Fails unless the firmware of `Emulate Firmware` printed this text.

        Example:
        | UART Should Contain    inference done
        """
        run = self._current
        if not isinstance(run, FirmwareRun):
            raise UsageError("there is no firmware's UART to look at", hint="Emulate Firmware comes first")
        if text not in run.uart:
            shown = run.uart[-_SHOWN_UART:]
            cut = "…" if len(run.uart) > _SHOWN_UART else ""
            raise KeywordError(f"the UART of {run.subject} has no {text!r}; it has {cut}{shown!r}")

    # beside an emulator of one's own

    @keyword
    def get_symbol_address(self, symbol: str) -> Address:
        """The address of a symbol of the current image, in hexadecimal; a function's is without the Thumb bit.

        Example:
        | Build Model    digits
        | ${done}=    Get Symbol Address    digits_done
        | Execute Command    cpu AddHook ${done} "print('done')"
        """
        if self._current is None:
            raise UsageError("there is no image", hint="Build Model or Emulate Firmware comes first")
        return self._current.address_of(symbol)

    @keyword
    def write_renode_platform(self, path: Path | None = None, board: str | None = None) -> str:
        """Write a board as a platform for Renode, with the chip's true memories, and return the file's path.

        ``board``: by default that of the current result, else that of the library. ``path``: by default below Robot
        Framework's output directory.

        Example:
        | ${platform}=    Write Renode Platform    board=stm32f746
        | Execute Command    mach create
        | Execute Command    machine LoadPlatformDescription @${platform}
        """
        from tinydeploy.emulate.renode.platform import make_platform

        if board is None and isinstance(self._current, Result):
            target = self._current.planned.board
        else:
            target = self._found(board)
        file = (path if path is not None else _output_folder() / f"{target.id}.repl").absolute()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(make_platform(target).repl, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot write {file}: {error.strerror or error}") from error
        return str(file)

    # what the keywords share

    def _now(self, result: R) -> R:
        """Make it the current one, and log what it has."""
        self._current = result
        log_blocks(result.blocks())
        return result

    def _found(self, board: str | None) -> Board:
        from tinydeploy.boards import find_board

        wanted = board if board is not None else self._board
        if wanted is None:
            raise UsageError("no board is named", hint="board= of this keyword, or of the library's import")
        return find_board(wanted)

    def _plan(self, model: str, board: str | None, options: PlanOptions) -> Result:
        from tinydeploy import pipeline

        return Result(pipeline.plan_model(pipeline.load(model), self._found(board), options))

    def _planned(self, model: str | None, board: str | None) -> Result:
        """The plan of a model with the usual options, or the current plan."""
        if model is not None:
            return self._plan(model, board, PlanOptions())
        if board is not None:
            raise UsageError("board= goes with a model", hint="name the model too, or plan it for that board")
        return self._model()

    @staticmethod
    def _fitting(result: Result) -> Result:
        """The same, where there is something to build and it fits. Raises `GateError`, `UnsupportedModelError`."""
        from tinydeploy import pipeline

        if not result.planned.model.sha256:
            pipeline.generate_library(result.planned)  # a network, which has no weights: it refuses
        if not result.fits:
            raise GateError(f"{result.subject} does not fit: {result.why_not()}")
        return result

    def _new_folder(self, result: Result) -> Path:
        parent = _output_folder()
        parent.mkdir(parents=True, exist_ok=True)
        name = c_identifier(result.planned.model.name, "model")[:40]
        return Path(tempfile.mkdtemp(prefix=f"{name}-{result.board}-", dir=parent))

    def _emulator(self, name: EmulatorName | None, board: Board, repl: Path | None) -> Chosen:
        """Raises `MissingToolError`, and `UsageError` for a board that the emulator does not have."""
        from tinydeploy.pipeline.emulators import EmulatorChoice, choose_emulator

        wanted = self._emulator_name if name is None else one_of(EmulatorName, name, "emulator")
        chosen = choose_emulator(EmulatorChoice(wanted, self._renode, repl), board)
        if chosen.warning is not None:
            log_warning(chosen.warning)
        return chosen

    def _run(self) -> Result | FirmwareRun:
        run = self._current
        if run is None or (isinstance(run, Result) and run.ran is None and run.fault is None):
            raise UsageError("nothing has run", hint="Run On Board or Emulate Firmware comes first")
        return run

    def _model(self) -> Result:
        if not isinstance(self._current, Result):
            raise UsageError("there is no current model", hint="Plan Model, Build Model or Run On Board comes first")
        return self._current

    @staticmethod
    def _ran(result: Result) -> Ran:
        if result.fault is not None:
            raise result.fault
        if result.ran is None:
            raise UsageError(f"{result.subject} has not run", hint="Run On Board comes first")
        return result.ran

    def _hold(self, name: str, limit: float) -> None:
        if self._current is None:
            raise UsageError("there is nothing to check", hint="Plan Model, Build Model or Run On Board comes first")
        self._judge(self._current.figure(name), limit, self._current.subject)

    @staticmethod
    def _judge(figure: Figure, limit: float, subject: str) -> None:
        """Fails unless the figure is within the limit."""
        of = f" of {subject}" if subject else ""
        if figure.value > limit:
            over = amount(figure.value - limit, figure.unit)
            more = f"; {figure.culprit}" if figure.culprit else ""
            raise KeywordError(
                f"{figure.name}{of}: {figure.amount} ({figure.kind}), {over} more than the limit of "
                f"{amount(limit, figure.unit)}{more}"
            )
        log_line(f"{figure.name}{of}: {figure.amount} ({figure.kind}), at most {amount(limit, figure.unit)}")

    def _verified(self, result: Result, ran: Ran) -> Verification:
        """What the references say of a run; asked once."""
        if result.verification is None:
            result = replace(result, verification=compare_with_references(ran))
            self._current = result
        assert result.verification is not None
        return result.verification

    def _output(self, named: str | None, sample: int) -> Array:
        result = self._model()
        ran = self._ran(result)
        if not 0 <= sample < len(ran.outputs):
            raise UsageError(f"there is no sample {sample}", hint=f"{len(ran.outputs)} ran, counted from 0")
        return ran.outputs[sample][find_output(result.planned.model, named)]


def _several(value: str | Sequence[str] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(map(str, value))


def _output_folder() -> Path:
    """Where Robot Framework puts its log, or a folder for temporary files where it does not run."""
    from robot.libraries.BuiltIn import BuiltIn, RobotNotRunningError

    try:
        return Path(BuiltIn().get_variable_value("${OUTPUT DIR}")) / "tinydeploy"
    except RobotNotRunningError:
        return Path(tempfile.gettempdir()) / "tinydeploy"
