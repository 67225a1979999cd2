*** Settings ***
Documentation    Every keyword once, and every limit at the exact figure, which is given as a variable.
Library          tinydeploy.robot.Deploy    board=stm32f746
Library          Collections
Library          OperatingSystem


*** Test Cases ***
A Plan
    ${plan}=    Plan Model    digits
    Model Should Fit
    Arena Should Be At Most    ${ARENA}
    No Layer Should Use A Slow Kernel
    Should Be Equal As Integers    ${plan.arena_bytes}    ${ARENA}
    Should Be Equal    ${plan.model} on ${plan.board}    digits on stm32f746g_disco
    Should Be True    ${plan.fits}

A Plan With Options
    ${whole}=    Plan Model    kws    execution=whole    in_place=False    effort=quick    solver=builtin
    ${streamed}=    Plan Model    kws    feed_rows=True    time_limit=20 seconds    reserve=dtcm=16K    regions=dtcm,sram1
    Should Be True    ${streamed.arena_bytes} < ${whole.arena_bytes}
    ${reserves}=    Create List    dtcm=16K    sram1=8 KiB
    Plan Model    digits    reserve=${reserves}    stack_bytes=2 KiB    io=int8    keep=@{EMPTY}
    Stack Should Be At Most    2,048

A Model That Is Too Large
    ${plan}=    Plan Model    vww    board=nucleo_f030r8
    Model Should Not Fit
    Should Not Be True    ${plan.fits}

An Image
    ${built}=    Build Model    digits
    Weights Should Be At Most    ${WEIGHTS}
    Code Should Be At Most    ${CODE}
    ${flash}=    Evaluate    ${WEIGHTS} + ${CODE}
    Flash Should Be At Most    ${flash}
    File Should Exist    ${built.elf}
    File Should Exist    ${built.folder}/digits.h
    Should Start With    ${built.elf}    ${OUTPUT DIR}
    Should Match Regexp    at ${built.arena_address}    ^at 0x200[0-9a-f]{5}$
    ${done}=    Get Symbol Address    digits_done
    Should Be Equal    ${done}    ${built.done_address}
    ${again}=    Build Model    folder=${OUTPUT DIR}/here
    File Should Exist    ${OUTPUT DIR}/here/digits.c
    Should Not Be Equal    ${again.elf}    ${built.elf}

A Run
    ${run}=    Run On Board    digits    layers=True
    Faults Should Be None
    Outputs Should Match Reference
    Stack Should Be At Most    ${STACK}
    SRAM Should Be At Most    ${SRAM}
    Instructions Should Be At Most    ${INSTRUCTIONS}
    Cycles Should Be At Most    ${CYCLES}
    Latency Should Be At Most    ${LATENCY} ms
    Instructions Of Layer Should Be At Most    0    ${LAYER 0}
    Instructions Of Layer Should Be At Most    ${NAME 0}    ${LAYER 0}
    Should Be Equal As Integers    ${run.instructions}    ${INSTRUCTIONS}
    Should Be Equal As Integers    ${run.stack_bytes}    ${STACK}
    ${scores}=    Get Output
    Should Be Equal    ${scores}    ${{ ${SCORES} }}
    Output Should Be    ${SCORES}
    Output Should Be    ${scores}    output=0
    Output Should Be    ${SCORES FILE}

A Run With Inputs
    Run On Board    digits    inputs=${INPUTS FILE}
    Output Should Be    ${SCORES}    sample=1
    Output Should Be    ${SCORES}    output=${NAME}    sample=2

Figures That Are Counted Elsewhere
    Instructions Should Be At Most    1M    counted=0xF4240
    Instructions Should Be At Most    1,000,000    counted=1000000

Earlier Results
    ${small}=    Plan Model    digits
    Plan Model    kws
    Run Keyword And Expect Error    arena of kws on *    Arena Should Be At Most    ${ARENA}
    Use Result    ${small}
    Arena Should Be At Most    ${ARENA}

The Current Plan Is Run With Its Options
    Plan Model    digits    execution=whole
    ${whole}=    Run On Board
    Should Be True    ${whole.arena_bytes} > ${ARENA}

A Run That Must Fail
    Plan Model    kws    stack_bytes=64
    Run On Board    faults=keep
    Run Should Have Failed With    stack-overflow
    Run Keyword And Expect Error    the run failed (stack-overflow): *    Faults Should Be None

Firmware
    ${run}=    Emulate Firmware    ${FIRMWARE}    timeout=1 minute
    UART Should Contain    self-test passed
    Faults Should Be None
    Instructions Should Be At Most    10k
    Should Be Equal    ${run.uart}    self-test passed\n
    Get Symbol Address    main

Firmware That Must Fail
    Emulate Firmware    ${FAULTY}    faults=keep
    Run Should Have Failed With    unmapped-write
    ${run}=    Emulate Firmware    ${BADLY}    faults=keep
    Run Should Have Failed With    exit-code
    Should Be Equal As Integers    ${run.exit_code}    3

A Platform For Renode
    ${file}=    Write Renode Platform    board=stm32f746
    ${text}=    Get File    ${file}
    Should Contain    ${text}    cpuType: "cortex-m7"
