// Runs a sketch's loop once.
#include "Arduino.h"

Printer Serial;

unsigned long micros()
{
    return 0;
}

void delay(unsigned long) {}

int main()
{
    setup();
    loop();
    return 0;
}
