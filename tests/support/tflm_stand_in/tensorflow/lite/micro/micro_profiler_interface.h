/* A stand-in for TensorFlow Lite Micro's header of this name, written for the tests. */
#pragma once
#include <stdint.h>

namespace tflite {

class MicroProfilerInterface
{
  public:
    virtual ~MicroProfilerInterface() {}
    virtual uint32_t BeginEvent(const char *tag) = 0;
    virtual void EndEvent(uint32_t event) = 0;
};

} // namespace tflite
