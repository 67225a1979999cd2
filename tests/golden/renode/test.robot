*** Settings ***
Documentation     kws on Nordic nRF52840 DK: the image runs to its end and prints what it should.

*** Variables ***
${UART}           sysbus.uarte0

*** Keywords ***
Prepare Machine
    # The monitor wants a space in a path escaped.
    ${folder}=    Set Variable    ${{ r'''${CURDIR}'''.replace(' ', chr(92) + ' ') }}
    Execute Command    include @${folder}/machine.resc
    Create Log Tester    0.5    defaultPauseEmulation=true
    Register Failing Log String    non existing peripheral
    Register Failing Log String    CPU abort
    Register Failing Log String    CPU was halted
    Register Failing Log String    does not lay in memory
    Create Terminal Tester    ${UART}    timeout=10    defaultPauseEmulation=true

*** Test Cases ***
Model Runs And Prints
    [Timeout]    600 seconds
    Prepare Machine
    Wait For Line On Uart    tinydeploy: output 0 crc32 0x12345678
    Wait For Line On Uart    tinydeploy: done
    ${instructions}=    Execute Command    cpu ExecutedInstructions
    Log To Console    instructions: ${instructions.strip()}
    Should Not Be In Log    non existing peripheral
    Should Not Be In Log    CPU abort
    Should Not Be In Log    CPU was halted
    Should Not Be In Log    does not lay in memory
