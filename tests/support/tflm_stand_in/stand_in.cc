/* What the tests link in place of TensorFlow Lite Micro: it reads the .tflite file that it is given and computes chains
 * of RELU and RESHAPE on int8, with every tensor where the file's OfflineMemoryAllocation says, as the real one does.
 *
 * STAND_IN_PERSISTENT is what it takes at the arena's end, in bytes. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "tensorflow/lite/micro/micro_interpreter.h"

#ifndef STAND_IN_PERSISTENT
#define STAND_IN_PERSISTENT 256
#endif

namespace {

/* A place in a FlatBuffer. */
struct Place {
    const uint8_t *at;

    int32_t number() const
    {
        int32_t value;
        memcpy(&value, at, sizeof value);
        return value;
    }
    Place target() const { return {at + static_cast<uint32_t>(number())}; }
    Place field(int slot) const /* of a table; nowhere if it is left out */
    {
        const uint8_t *const table = at - number();
        uint16_t size, offset = 0;
        memcpy(&size, table, sizeof size);
        if (4 + 2 * slot < size) memcpy(&offset, table + 4 + 2 * slot, sizeof offset);
        return {offset == 0 ? nullptr : at + offset};
    }
    Place vector(int slot) const { return field(slot).target(); }
    Place element(int32_t index, int32_t bytes = 4) const { return {at + 4 + index * bytes}; }
    Place table(int32_t index) const { return element(index).target(); }
};

Place root(const tflite::Model *model)
{
    return Place{reinterpret_cast<const uint8_t *>(model)}.target();
}

Place graph(const tflite::Model *model)
{
    return root(model).vector(2).table(0);
}

Place tensor(const tflite::Model *model, int32_t index)
{
    return graph(model).vector(0).table(index);
}

int32_t bytes_of(Place tensor)
{
    const Place shape = tensor.vector(0);
    int32_t count = 1;
    for (int32_t i = 0; i < shape.number(); i++) count *= shape.element(i).number();
    return count;
}

int32_t zero_point_of(Place tensor)
{
    const Place quantization = tensor.field(4).target();
    return quantization.field(3).at == nullptr ? 0 : quantization.vector(3).element(0, 8).number();
}

/* The offset that the file gives a tensor, −1 for none; without the metadata a chain has two places by turns. */
int32_t offset_of(const tflite::Model *model, int32_t index)
{
    const Place metadata = root(model).vector(6);
    for (int32_t i = 0; i < metadata.number(); i++) {
        const Place entry = metadata.table(i), name = entry.vector(0);
        if (strcmp(reinterpret_cast<const char *>(name.at + 4), "OfflineMemoryAllocation") != 0) continue;
        const Place buffer = root(model).vector(4).table(entry.field(1).number());
        return buffer.vector(0).element(3 + index).number();
    }
    return index % 2 * ((bytes_of(tensor(model, 0)) + 15) & ~15);
}

int32_t opcode_of(const tflite::Model *model, Place op)
{
    const Place index = op.field(0);
    const Place code = root(model).vector(1).table(index.at == nullptr ? 0 : index.number());
    const Place builtin = code.field(3);
    return builtin.at == nullptr ? 0 : builtin.number();
}

} // namespace

namespace tflite {

const Model *GetModel(const void *data)
{
    return static_cast<const Model *>(data);
}

uint32_t Model::version() const
{
    return static_cast<uint32_t>(root(this).field(0).number());
}

void stand_in_relu_kernel(const int8_t *from, int8_t *to, int32_t count, int32_t zero_point)
{
    for (int32_t i = 0; i < count; i++) to[i] = from[i] > zero_point ? from[i] : static_cast<int8_t>(zero_point);
}

void stand_in_reshape_kernel(const int8_t *from, int8_t *to, int32_t count, int32_t)
{
    memmove(to, from, static_cast<size_t>(count));
}

MicroInterpreter::MicroInterpreter(const Model *model, const MicroOpResolver &resolver, uint8_t *arena,
                                   size_t arena_bytes, MicroResourceVariables *, MicroProfilerInterface *profiler)
    : model_(model), resolver_(resolver), arena_(arena), arena_bytes_(arena_bytes), profiler_(profiler)
{
}

MicroInterpreter::~MicroInterpreter() {}

TfLiteStatus MicroInterpreter::AllocateTensors()
{
    const Place tensors = graph(model_).vector(0);
    int32_t end = 0;
    for (int32_t i = 0; i < tensors.number(); i++) {
        const int32_t offset = offset_of(model_, i);
        const int32_t behind = offset + ((bytes_of(tensors.table(i)) + 15) & ~15);
        if (offset >= 0 && behind > end) end = behind;
    }
    used_ = static_cast<size_t>(end) + STAND_IN_PERSISTENT;
    if (reinterpret_cast<uintptr_t>(arena_) % 16 != 0 || used_ > arena_bytes_) {
        fprintf(stderr, "the stand-in wants %u bytes\n", static_cast<unsigned>(used_));
        return kTfLiteError;
    }
    memset(arena_ + arena_bytes_ - STAND_IN_PERSISTENT, 0x5A, STAND_IN_PERSISTENT);
    return kTfLiteOk;
}

TfLiteStatus MicroInterpreter::Invoke()
{
    const Place operators = graph(model_).vector(3);
    for (int32_t i = 0; i < operators.number(); i++) {
        const Place op = operators.table(i);
        const int32_t from = op.vector(1).element(0).number(), to = op.vector(2).element(0).number();
        const StandInKernel kernel = resolver_.Find(opcode_of(model_, op));
        if (kernel == nullptr) return kTfLiteError;
        const uint32_t event = profiler_ != nullptr ? profiler_->BeginEvent("kernel") : 0;
        kernel(reinterpret_cast<int8_t *>(arena_ + offset_of(model_, from)),
               reinterpret_cast<int8_t *>(arena_ + offset_of(model_, to)), bytes_of(tensor(model_, to)),
               zero_point_of(tensor(model_, to)));
        if (profiler_ != nullptr) profiler_->EndEvent(event);
    }
    return kTfLiteOk;
}

TfLiteTensor *MicroInterpreter::input(size_t index)
{
    const int32_t number = graph(model_).vector(1).element(static_cast<int32_t>(index)).number();
    port_.data.data = arena_ + offset_of(model_, number);
    return &port_;
}

TfLiteTensor *MicroInterpreter::output(size_t index)
{
    const int32_t number = graph(model_).vector(2).element(static_cast<int32_t>(index)).number();
    port_.data.data = arena_ + offset_of(model_, number);
    return &port_;
}

size_t MicroInterpreter::arena_used_bytes() const
{
    return used_;
}

} // namespace tflite
