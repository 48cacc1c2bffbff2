#include "base/background.h"

#include <pthread.h>
#include <sched.h>

namespace incipit {

void give_way_to_others() {
  const sched_param none{};
  pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
}

}  // namespace incipit
