# Rejects an #include that goes around the table of layers.
#
#   cmake -DLAYERS=base:/graph:base/import:graph,base… -DSOURCE=src -P check_layers.cmake
#
# LAYERS is what CMakeLists.txt declared: each layer with those it names; a layer may include itself, what it names,
# and what those may include.

cmake_minimum_required(VERSION 3.25)
string(REPLACE "/" ";" layers "${LAYERS}")
list(TRANSFORM layers REPLACE ":.*" "" OUTPUT_VARIABLE names)
set(faults "")
set(checked 0)

foreach(entry IN LISTS layers)
  string(REGEX MATCH "^([a-z_]+):(.*)$" unused "${entry}")
  set(layer ${CMAKE_MATCH_1})
  string(REPLACE "," ";" named "${CMAKE_MATCH_2}")
  set(allowed ${layer})
  foreach(below IN LISTS named)
    if(NOT DEFINED allowed_${below})
      list(APPEND faults "layer ${layer} names ${below}, which is not declared before it")
    endif()
    list(APPEND allowed ${allowed_${below}})
  endforeach()
  list(REMOVE_DUPLICATES allowed)
  set(allowed_${layer} ${allowed})

  file(GLOB_RECURSE files ${SOURCE}/${layer}/*.h ${SOURCE}/${layer}/*.cpp ${SOURCE}/${layer}/*.inc
       ${SOURCE}/${layer}/*.cu)
  foreach(file IN LISTS files)
    math(EXPR checked "${checked} + 1")
    file(RELATIVE_PATH shown ${SOURCE} ${file})
    file(STRINGS ${file} includes REGEX "^[ \t]*#[ \t]*include[ \t]*[\"<]")
    foreach(line IN LISTS includes)
      string(REGEX MATCH "[\"<]([^\">]*)[\">]" quoted "${line}")
      set(path ${CMAKE_MATCH_1})
      string(REGEX MATCH "^[^/]*" target "${path}")
      if((NOT path MATCHES "/" AND quoted MATCHES "^\"") OR path MATCHES "(^|/)\\.\\.?/")
        list(APPEND faults "src/${shown}: \"${path}\" is not a path from src/")
      elseif(NOT target IN_LIST names)
        continue()  # a library's, in either spelling
      elseif(NOT target IN_LIST allowed)
        list(APPEND faults "src/${shown}: \"${path}\" is not below the layer ${layer} (it may include: ${allowed})")
      endif()
    endforeach()
  endforeach()
endforeach()

# A server never carries the compiler.
foreach(layer device runtime session openai measure)
  foreach(compiler graph import passes quant tune compile tokenizer_compile)
    if(compiler IN_LIST allowed_${layer})
      list(APPEND faults "layer ${layer} reaches ${compiler}: what runs an engine must link without the compiler")
    endif()
  endforeach()
endforeach()

file(GLOB directories RELATIVE ${SOURCE} ${SOURCE}/*)
foreach(directory IN LISTS directories)
  if(IS_DIRECTORY ${SOURCE}/${directory} AND NOT DEFINED allowed_${directory})
    file(GLOB_RECURSE files ${SOURCE}/${directory}/*.h ${SOURCE}/${directory}/*.cpp)
    if(files)
      list(APPEND faults "src/${directory} is not a declared layer")
    endif()
  endif()
endforeach()

if(faults)
  list(JOIN faults "\n  " text)
  message(FATAL_ERROR "\n  ${text}")
endif()
message(STATUS "${checked} files keep to the layers")
