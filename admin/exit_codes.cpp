#include "admin/exit_codes.hpp"

namespace chorus::admin {

ExitCode exit_code_of(errc code) noexcept {
  switch (code) {
    case errc::connection_failed:
    case errc::timed_out:
    case errc::tls_failed:
    case errc::shutting_down:
      return ExitCode::unreachable;
    case errc::unauthenticated:
    case errc::certificate_expired:
    case errc::revoked:
    case errc::permission_denied:
      return ExitCode::not_authorised;
    default:
      return ExitCode::failed;
  }
}

const char* advice_for(errc code) noexcept {
  switch (code) {
    case errc::connection_failed:
      return "Is the daemon running? 'chorus start DIR' runs it; --server HOST:PORT names another.";
    case errc::timed_out:
      return "The server did not answer in time; try again, or look at its log.";
    case errc::unauthenticated:
      return "Use the admin folder of this very federation (--federation DIR).";
    case errc::permission_denied:
      return "Ask an administrator with a higher role (viewer < operator < owner).";
    case errc::certificate_expired:
      return "Ask an owner for a new administrator's certificate, and check this machine's clock.";
    case errc::busy:
      return "The server has no room at the moment; try again in a few seconds.";
    case errc::shutting_down:
      return "The daemon is stopping; try again when it is back.";
    case errc::disk_full:
      return "Make room on that disk, then repeat the command.";
    case errc::internal:
      return "This is a defect of Chorus: please report it, with the server's log.";
    default:
      return "";
  }
}

}  // namespace chorus::admin
