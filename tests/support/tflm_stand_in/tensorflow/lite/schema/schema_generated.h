/* A stand-in for TensorFlow Lite Micro's header of this name, written for the tests: a model is a root table. */
#pragma once
#include <stdint.h>

#define TFLITE_SCHEMA_VERSION 3

namespace tflite {

class Model
{
  public:
    uint32_t version() const;
};

const Model *GetModel(const void *data);

} // namespace tflite
