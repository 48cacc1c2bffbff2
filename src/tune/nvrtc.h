// What is called of NVRTC, declared here so that no header of a toolkit is needed.
#pragma once

#include <cstddef>
#include <string>
#include <type_traits>

namespace incipit::nvrtc {

enum class Result : int { success = 0 };
struct ProgramState;
using Program = ProgramState*;

/// Each entry: how we call it, its name, its result and parameters.
#define INCIPIT_NVRTC(entry)                                                                                   \
  entry(version, nvrtcVersion, Result(int*, int*)) entry(error_text, nvrtcGetErrorString, const char*(Result)) \
      entry(create, nvrtcCreateProgram,                                                                        \
            Result(Program*, const char*, const char*, int, const char* const*, const char* const*))           \
          entry(compile, nvrtcCompileProgram, Result(Program, int, const char* const*))                        \
              entry(log_size, nvrtcGetProgramLogSize, Result(Program, size_t*))                                \
                  entry(log, nvrtcGetProgramLog, Result(Program, char*))                                       \
                      entry(cubin_size, nvrtcGetCUBINSize, Result(Program, size_t*))                           \
                          entry(cubin, nvrtcGetCUBIN, Result(Program, char*))                                  \
                              entry(ptx_size, nvrtcGetPTXSize, Result(Program, size_t*))                       \
                                  entry(ptx, nvrtcGetPTX, Result(Program, char*))                              \
                                      entry(destroy, nvrtcDestroyProgram, Result(Program*))

struct Library {
#define INCIPIT_NVRTC_MEMBER(name, symbol, ...) std::add_pointer_t<__VA_ARGS__> name = nullptr;
  INCIPIT_NVRTC(INCIPIT_NVRTC_MEMBER)
#undef INCIPIT_NVRTC_MEMBER
  std::string text;  // "13.0"
};

/// Opened at the first use, and for good. Throws Error in one line that says what was looked for.
const Library& library();

}  // namespace incipit::nvrtc
