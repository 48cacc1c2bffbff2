# check_layers.cmake must find what is planted here, and only that.
#
#   cmake -DTREE=scratch-directory -P check_layers_test.cmake

cmake_minimum_required(VERSION 3.25)
set(layers "base:/graph:base/engine:base/kernels:base/runtime:kernels,engine/compile:graph,engine/session:runtime")
set(links "base:/graph:base/engine:base,options/session:runtime,kernels,base")
set(failures "")

function(put file text)
  file(WRITE ${TREE}/${file} "${text}")
endfunction()

# A tree that keeps to the layers, to be spoiled in one place by each case.
function(plant)
  file(REMOVE_RECURSE ${TREE})
  put(base/error.h "#pragma once\n#include <string>\n")
  put(graph/graph.h "#include \"base/error.h\"\n")
  put(engine/writer.cpp "#include <flatbuffers/flatbuffers.h>\n#include \"engine/plan_generated.h\"\n")
  put(kernels/cpu/gemm.cpp "#include <vector>\n#include \"hwy/highway.h\"\n#include \"kernels/cpu/gemm_body.inc\"\n")
  put(runtime/executor.cpp "#include \"kernels/kernel.h\"\n#include \"base/error.h\"\n")
  put(compile/compile.cpp "#include \"graph/graph.h\"\n// #include \"runtime/executor.h\"\n")
  put(main.cpp "#include \"compile/compile.h\"\n")
endfunction()

function(check result_variable output_variable)
  execute_process(COMMAND ${CMAKE_COMMAND} "-DLAYERS=${layers}" "-DLINKS=${links}" -DSOURCE=${TREE} -P
                          ${CMAKE_CURRENT_LIST_DIR}/check_layers.cmake
                  RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  string(REGEX REPLACE "[ \n]+" " " output "${output}")  # CMake wraps its messages
  set(${result_variable} ${result} PARENT_SCOPE)
  set(${output_variable} "${output}" PARENT_SCOPE)
endfunction()

macro(accepts name)
  check(result output)
  if(NOT result EQUAL 0)
    list(APPEND failures "${name}: rejected: ${output}")
  endif()
endmacro()

# The check fails, says `text`, and names one fault only.
macro(rejects name text)
  check(result output)
  string(REGEX MATCHALL " src/[^ ]*: " faults "${output}")
  list(LENGTH faults count)
  string(FIND "${output}" "${text}" position)
  if(result EQUAL 0)
    list(APPEND failures "${name}: not caught")
  elseif(position EQUAL -1)
    list(APPEND failures "${name}: expected '${text}' in: ${output}")
  elseif(count GREATER 1)
    list(APPEND failures "${name}: more than was planted: ${output}")
  endif()
endmacro()

plant()
accepts("a good tree")

plant()
put(base/a.h "namespace incipit {\nstruct Twice {\n};\n}\n")
put(engine/b.h "namespace incipit::engine {\nstruct Twice {\n};\n}\n")
accepts("types of one name in two namespaces")
put(graph/c.h "namespace incipit {\nclass Twice final : Once {\n};\n}\n")
rejects("two types of one name" "src/graph/c.h: incipit::Twice is a type of src/base/a.h too")

plant()
string(REPEAT "// [a line; of text]\n\n" 250 text)
put(base/long.cpp "${text}")
put(base/long_tables.inc "${text}${text}")
accepts("a file of 500 lines, and a longer table")
put(base/long.cpp "${text}\n")
rejects("a file of 501 lines" "src/base/long.cpp: has 501 lines")

plant()
put(runtime/plan.cpp "#include \"base/error.h\"\n#include \"graph/graph.h\"\n")
rejects("upwards" "src/runtime/plan.cpp: \"graph/graph.h\" is not below the layer runtime")

plant()
put(kernels/cpu/gemm.h "\t#  include <graph/graph.h>\n")
rejects("sideways, in angle brackets" "src/kernels/cpu/gemm.h: \"graph/graph.h\" is not below the layer kernels")

plant()
put(kernels/cpu/gemm_body.inc "#include \"engine/reader.h\"\n")
rejects("in an included body" "src/kernels/cpu/gemm_body.inc: \"engine/reader.h\" is not below the layer kernels")

plant()
put(kernels/cpu/gemm.h "#include \"../../graph/graph.h\"\n")
rejects("by a relative path" "src/kernels/cpu/gemm.h: \"../../graph/graph.h\" is not a path from src/")

plant()
put(kernels/cpu/gemm.h "#include \"kernels/../graph/graph.h\"\n")
rejects("through its own layer" "src/kernels/cpu/gemm.h: \"kernels/../graph/graph.h\" is not a path from src/")

plant()
put(graph/verify.cpp "#include \"graph.h\"\n")
rejects("by a bare name" "src/graph/verify.cpp: \"graph.h\" is not a path from src/")

plant()
put(extra/extra.cpp "#include \"base/error.h\"\n")
rejects("a layer out of nowhere" "src/extra is not a declared layer")

plant()
set(links "base:/graph:base/runtime:kernels,graph,base")
rejects("a library that the table does not name" "layer runtime links graph")
set(links "")

foreach(server "session:runtime" "session:runtime,compile" "session:runtime/serve:session,compile")
  set(layers "base:/graph:base/engine:base/kernels:base/compile:graph,engine/runtime:kernels,engine/${server}")
  if(server STREQUAL "session:runtime")
    accepts("a server without the compiler")
  else()
    rejects("a server that links the compiler" "reaches compile: what runs an engine must link without")
  endif()
endforeach()
set(layers "base:/graph:base/runtime:base,graph/session:runtime")
plant()
file(REMOVE_RECURSE ${TREE}/engine ${TREE}/kernels ${TREE}/compile ${TREE}/runtime)
rejects("a compiler below the session" "layer session reaches graph")

file(REMOVE_RECURSE ${TREE})
if(failures)
  list(JOIN failures "\n  " text)
  message(FATAL_ERROR "\n  ${text}")
endif()
