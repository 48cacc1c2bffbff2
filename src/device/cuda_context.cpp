#include "device/cuda_context.h"

namespace incipit {

const cuda::Driver& cuda_driver() {
  const cuda::Driver& driver = cuda::driver();
  static const cuda::Context context = [&] {
    const LoggedTime logged("for a context");
    cuda::Context made = nullptr;
    driver.check(driver.retain_context(&made, cuda::gpu().device), "making a context");
    return made;
  }();
  static thread_local bool current = false;
  if (!current) {
    driver.check(driver.set_context(context), "taking its context");
    current = true;
  }
  return driver;
}

CudaStream make_cuda_stream() {
  const cuda::Driver& driver = cuda_driver();
  cuda::Stream stream = nullptr;
  driver.check(driver.create_stream(&stream, cuda::stream_non_blocking), "making a queue");
  return CudaStream(stream);
}

CudaEvent make_cuda_event(unsigned flags) {
  const cuda::Driver& driver = cuda_driver();
  cuda::Event event = nullptr;
  driver.check(driver.create_event(&event, flags), "making an event");
  return CudaEvent(event);
}

}  // namespace incipit
