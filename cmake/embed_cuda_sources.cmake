# Writes a C++ source that holds the CUDA kernels' sources and all that they include, as texts.
#
#   cmake -DSOURCE=src -DOUTPUT=cuda_sources_embedded.cpp -P embed_cuda_sources.cmake
#
# A name is looked for in src/ and in src/kernels/cuda/std/, which stands in for the standard library's headers.

cmake_minimum_required(VERSION 3.25)
file(GLOB kernels RELATIVE ${SOURCE} ${SOURCE}/kernels/cuda/*.cu)
list(SORT kernels)
set(names ${kernels})
set(done "")
set(entries "")
while(names)
  list(POP_FRONT names name)
  if(name IN_LIST done)
    continue()
  endif()
  list(APPEND done ${name})
  set(path ${SOURCE}/${name})
  if(NOT EXISTS ${path})
    set(path ${SOURCE}/kernels/cuda/std/${name})
  endif()
  if(NOT EXISTS ${path})
    message(FATAL_ERROR "kernels/cuda includes ${name}, which is neither in src/ nor in src/kernels/cuda/std/")
  endif()
  file(STRINGS ${path} includes REGEX "^#include [\"<]")
  foreach(line IN LISTS includes)
    string(REGEX REPLACE "^#include [\"<]([^\">]*)[\">].*" "\\1" included "${line}")
    list(APPEND names ${included})
  endforeach()
  file(READ ${path} text)
  string(APPEND entries "    {\"${name}\", R\"embedded(${text})embedded\"sv},\n")
endwhile()
# The compiler knows how long a literal with sv is; it would count the characters of others one by one, as far as it may.
set(content "// Made by embed_cuda_sources.cmake.\n#include \"tune/cuda_sources.h\"\n\nnamespace incipit {\n\n")
string(APPEND content "std::span<const CudaSource> cuda_sources() {\n")
string(APPEND content "  using namespace std::string_view_literals;\n  static constexpr CudaSource sources[] = {\n")
string(APPEND content "${entries}  };\n  return sources;\n}\n\n}  // namespace incipit\n")
file(WRITE ${OUTPUT} "${content}")
