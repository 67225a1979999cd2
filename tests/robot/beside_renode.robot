*** Settings ***
Documentation    The image of a model on Renode's own keywords: loaded, run up to its end, and held against figures.
Library          tinydeploy.robot.Deploy    board=stm32f746
Test Timeout     2 minutes

*** Test Cases ***
An Image Runs In A Session Of Renode
    ${built}=    Build Model    digits
    Flash Should Be At Most    16 KiB
    ${platform}=    Write Renode Platform
    Execute Command    mach create "board"
    Execute Command    machine LoadPlatformDescription @${platform}
    Execute Command    sysbus LoadELF @${built.elf}
    Create Log Tester    0.5    defaultPauseEmulation=true
    Execute Command    sysbus.cpu AddHook ${built.done_address} "self.IsHalted = True"
    Execute Command    emulation RunFor "0.1"
    ${at}=    Execute Command    sysbus.cpu PC
    Should Be Equal As Integers    ${at}    ${built.done_address}
    ${counted}=    Execute Command    sysbus.cpu ExecutedInstructions
    Instructions Should Be At Most    170k    counted=${counted}
    Run Keyword And Expect Error    instructions: * more than the limit of 100,000 instructions
    ...    Instructions Should Be At Most    100k    counted=${counted}
    Should Not Be In Log    non existing peripheral
    Should Not Be In Log    CPU abort

Both Emulators Count The Same
    ${embedded}=    Run On Board    digits
    Run On Board    digits    emulator=renode
    Instructions Should Be At Most    ${embedded.instructions}
    Use Result    ${embedded}
    Outputs Should Match Reference
