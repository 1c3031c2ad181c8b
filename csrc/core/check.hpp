// The five kinds of error and the one way to raise them: a sentence `op: argument must ..., got
// ...`.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

namespace sentei {

struct ShapeError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};
struct DTypeError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};
struct DeviceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct ValueError : std::invalid_argument {  // Python's own ValueError: bad scalars
  using std::invalid_argument::invalid_argument;
};

template <class Error, class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw Error(text.str());
}

}  // namespace sentei

// SENTEI_CHECK(ShapeError, a == b, "op: x must ..., got ", shape)
#define SENTEI_CHECK(Error, condition, ...)                         \
  do {                                                              \
    if (!(condition)) ::sentei::fail<::sentei::Error>(__VA_ARGS__); \
  } while (0)
