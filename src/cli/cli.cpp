#include "cli/cli.h"

namespace incipit::cli {

int main(int, char**) { return 0; }

}  // namespace incipit::cli
