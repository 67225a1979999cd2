*** Settings ***
Documentation    Every test must fail: the names stand in a table with the words that each must fail with.
Library          tinydeploy.robot.Deploy    board=stm32f746


*** Test Cases ***
Nothing To Check
    Arena Should Be At Most    1 MiB

Nothing Has Run
    Faults Should Be None

No Model
    Model Should Fit

Too Small A Board
    Plan Model    vww    board=nucleo_f030r8
    Model Should Fit

Large Enough A Board
    Plan Model    digits
    Model Should Not Fit

Building What Does Not Fit
    Build Model    vww    board=nucleo_f030r8

Running What Does Not Fit
    Run On Board    vww    board=nucleo_f030r8

A Network Has Nothing To Build
    Build Model    mobilenet_v2

Arena
    Plan Model    digits
    Arena Should Be At Most    ${{ ${ARENA} - 1 }}

A Stack That Is Estimated
    Stack Should Be At Most    1 MiB

Code That Is Estimated
    Code Should Be At Most    1 MiB

SRAM That Is Estimated
    SRAM Should Be At Most    1 MiB

Flash That Is Estimated
    Flash Should Be At Most    1 MiB

Instructions Of A Plan
    Instructions Should Be At Most    1G

Outputs Of A Plan
    Get Output

An Image Of A Plan
    Get Symbol Address    main

Weights
    Build Model    digits
    Weights Should Be At Most    ${{ ${WEIGHTS} - 1 }}

Code
    Code Should Be At Most    ${{ ${CODE} - 1 }}

Flash
    Flash Should Be At Most    ${{ ${WEIGHTS} + ${CODE} - 1 }}

No Such Symbol
    Get Symbol Address    no_such

Stack
    Run On Board    digits
    Stack Should Be At Most    ${{ ${STACK} - 1 }}

SRAM
    SRAM Should Be At Most    ${{ ${SRAM} - 1 }}

Instructions
    Instructions Should Be At Most    ${{ ${INSTRUCTIONS} - 1 }}

Cycles
    Cycles Should Be At Most    ${{ ${CYCLES} - 1 }}

Latency
    Latency Should Be At Most    ${{ round(${LATENCY} * 1000) - 10 }} us

A Layer
    Instructions Of Layer Should Be At Most    0    ${{ ${LAYER 0} - 1 }}

No Such Layer
    Instructions Of Layer Should Be At Most    no such    1M

Another Output
    Output Should Be    [[-128, -128, -128, -128, -128, -128, -128, -128, -128, 100]]

An Output Of Another Shape
    Output Should Be    [1, 2]

No Such Output
    Get Output    no such

No Such Sample
    Get Output    sample=1

No Such File Of Values
    Output Should Be    /no/such.npy

A Run That Did Not Fail
    Run Should Have Failed With    time-out

No Such Kind Of Fault
    Run Should Have Failed With    sneezing

Samples And Inputs
    Run On Board    digits    inputs=${INPUTS FILE}    samples=3

A Board Without A Model
    Run On Board    board=nucleo_f446re

Slow Kernels
    Plan Model    unet    board=stm32f746    effort=quick
    No Layer Should Use A Slow Kernel

A Stack That Overflows
    Plan Model    kws    stack_bytes=64
    Run On Board

Figures Of A Run That Failed
    Instructions Should Be At Most    1G

Outputs Of A Run That Failed
    Outputs Should Match Reference

A Fault
    Faults Should Be None

Another Fault
    Run Should Have Failed With    time-out

Counted Elsewhere
    Instructions Should Be At Most    1M    counted=0xF4241

Firmware That Writes Outside
    Emulate Firmware    ${FAULTY}

What Firmware Took That Failed
    Instructions Should Be At Most    1G

Firmware That Ends With A Code
    Emulate Firmware    ${BADLY}

Firmware That Prints Something Else
    Emulate Firmware    ${FIRMWARE}
    UART Should Contain    self-test failed

Firmware Has No Arena
    Arena Should Be At Most    1 MiB

Instructions Of Firmware
    Instructions Should Be At Most    10

Firmware Is No Model
    Outputs Should Match Reference

No Such Model
    Plan Model    digit

A Model Without A Name
    Plan Model    ${EMPTY}    board=stm32f746

No Such Board
    Plan Model    digits    board=stm32f747

A Size That Is None
    Arena Should Be At Most    8 KB

A Count That Is None
    Instructions Should Be At Most    8 MHz

A Time Without Its Unit
    Latency Should Be At Most    30

An Option That Is None
    Plan Model    digits    execution=fast

A Platform For Unicorn
    Run On Board    digits    repl=board.repl

A Renode That Is Not There
    Run On Board    digits    emulator=renode
