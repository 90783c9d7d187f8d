// Places where a test can kill the daemon: CHORUS_FAIL_AT="publish.before_ledger:3" ends the
// process with SIGKILL when that place is passed for the third time. Compiled in only with
// -DCHORUS_FAIL_POINTS=ON (the default where tests are built).
#pragma once

#ifdef CHORUS_FAIL_POINTS
namespace chorus::server {
void pass_fail_point(const char* name) noexcept;
}
#define CHORUS_FAIL_POINT(name) ::chorus::server::pass_fail_point(name)
#else
#define CHORUS_FAIL_POINT(name) static_cast<void>(0)
#endif
