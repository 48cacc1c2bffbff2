#include "cli/cli.h"

int main(int argc, char** argv) { return incipit::cli::main(argc, argv); }
