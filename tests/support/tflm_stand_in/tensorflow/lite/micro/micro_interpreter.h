/* A stand-in for TensorFlow Lite Micro's header of this name, written for the tests. */
#pragma once
#include <stddef.h>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/schema/schema_generated.h"

#ifndef TF_LITE_STATIC_MEMORY
#error "the real library has other structures without it"
#endif

struct TfLiteTensor {
    union {
        void *data;
    } data;
};

namespace tflite {

class MicroResourceVariables;

class MicroInterpreter
{
  public:
    MicroInterpreter(const Model *model, const MicroOpResolver &resolver, uint8_t *arena, size_t arena_bytes,
                     MicroResourceVariables *variables = nullptr, MicroProfilerInterface *profiler = nullptr);
    ~MicroInterpreter();
    TfLiteStatus AllocateTensors();
    TfLiteStatus Invoke();
    TfLiteTensor *input(size_t index);
    TfLiteTensor *output(size_t index);
    size_t arena_used_bytes() const;

  private:
    const Model *model_;
    const MicroOpResolver &resolver_;
    uint8_t *arena_;
    size_t arena_bytes_, used_ = 0;
    MicroProfilerInterface *profiler_;
    TfLiteTensor port_;
};

} // namespace tflite
