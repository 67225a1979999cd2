/* The little of Arduino's core that the sketches use, for this computer. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct Printer {
    void begin(unsigned long) {}
    void print(const char *text) { fputs(text, stdout); }
    void print(char character) { putchar(character); }
    void print(int value) { printf("%d", value); }
    void print(unsigned int value) { printf("%u", value); }
    void print(long value) { printf("%ld", value); }
    void print(unsigned long value) { printf("%lu", value); }
    void print(double value, int digits = 2) { printf("%.*f", digits, value); }
    void println() { putchar('\n'); }

    template <typename T> void println(T value)
    {
        print(value);
        println();
    }
};

extern Printer Serial;

unsigned long micros();
void delay(unsigned long milliseconds);
void setup();
void loop();
