/* A stand-in for TensorFlow Lite Micro's header of this name, written for the tests. It knows two operators, and like
 * the real one wants room for each that is added. */
#pragma once
#include <stdint.h>

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

namespace tflite {

/* Numbers of the schema. */
constexpr int32_t stand_in_relu = 19, stand_in_reshape = 22;

void stand_in_relu_kernel(const int8_t *from, int8_t *to, int32_t count, int32_t zero_point);
void stand_in_reshape_kernel(const int8_t *from, int8_t *to, int32_t count, int32_t zero_point);

typedef void (*StandInKernel)(const int8_t *, int8_t *, int32_t, int32_t);

class MicroOpResolver
{
  public:
    virtual StandInKernel Find(int32_t opcode) const = 0;
};

template <unsigned int room> class MicroMutableOpResolver : public MicroOpResolver
{
  public:
    StandInKernel Find(int32_t opcode) const override
    {
        for (unsigned int i = 0; i < count_; i++)
            if (opcodes_[i] == opcode) return kernels_[i];
        return nullptr;
    }
    TfLiteStatus AddRelu() { return Add(stand_in_relu, stand_in_relu_kernel); }
    TfLiteStatus AddReshape() { return Add(stand_in_reshape, stand_in_reshape_kernel); }

  private:
    TfLiteStatus Add(int32_t opcode, StandInKernel kernel)
    {
        if (count_ == room) return kTfLiteError;
        opcodes_[count_] = opcode;
        kernels_[count_++] = kernel;
        return kTfLiteOk;
    }
    unsigned int count_ = 0;
    int32_t opcodes_[room] = {};
    StandInKernel kernels_[room] = {};
};

} // namespace tflite
