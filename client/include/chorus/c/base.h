/* Status, errors, version. chorus/chorus.h has the conventions. */
#ifndef CHORUS_C_BASE_H
#define CHORUS_C_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chorus/export.hpp" /* one macro, CHORUS_EXPORT */

#ifdef __cplusplus
extern "C" {
#endif

#define CHORUS_VERSION_MAJOR 0
#define CHORUS_VERSION_MINOR 1
#define CHORUS_VERSION_PATCH 0

/* The library's version, "0.1.0". A program that uses a newer header's functions or fields needs a
 * library as new; until 1.0, one with the same first two numbers. Never fails; lives for ever. */
CHORUS_EXPORT const char* chorus_version(void);

/* What came of a call. The numbers are those of the protocol (docs/protocol.md lists each with what
 * to do about it) and never change. A newer library may return one that is not here. */
typedef enum chorus_status {
  CHORUS_OK = 0,

  /* What somebody gave is wrong. */
  CHORUS_INVALID_ARGUMENT = 1,     /* a value outside its documented range */
  CHORUS_MALFORMED_FRAME = 2,      /* the server sent nonsense */
  CHORUS_FRAME_TOO_LARGE = 3,      /* … or too much */
  CHORUS_UNSUPPORTED_VERSION = 4,  /* no protocol version in common: update the program */
  CHORUS_MALFORMED_MESSAGE = 5,    /* a message does not parse */
  CHORUS_UNEXPECTED_MESSAGE = 6,   /* a message that does not belong here */
  CHORUS_DIGEST_MISMATCH = 7,      /* content and its announced hash differ */
  CHORUS_SHAPE_MISMATCH = 8,       /* numbers of elements do not fit together */
  CHORUS_NOT_FINITE = 9,           /* a NaN or an infinity */
  CHORUS_VALUE_OUT_OF_RANGE = 10,  /* an update beyond the job's value_max */
  CHORUS_WEIGHT_OUT_OF_RANGE = 11, /* 0 examples, or more than the job allows */
  CHORUS_UNSUPPORTED_FEATURE = 12, /* a plan asks for what this device cannot do */
  CHORUS_MALFORMED_FILE = 13,      /* a data or model file does not parse */

  /* Who is asking. */
  CHORUS_UNAUTHENTICATED = 20,     /* the server is another federation's, or the identity is */
  CHORUS_CERTIFICATE_EXPIRED = 21, /* check the clock; if it is right, enrol anew */
  CHORUS_REVOKED = 22,             /* this identity is shut out for good */
  CHORUS_PERMISSION_DENIED = 23,   /* this certificate may not do this */
  CHORUS_TOKEN_INVALID = 24,       /* the join token is unknown, used up, or expired */

  /* What was named does not fit the present state. */
  CHORUS_NOT_FOUND = 30,      /* no such file, tensor, vector or identity */
  CHORUS_ALREADY_EXISTS = 31, /* the name is taken */
  CHORUS_WRONG_STATE = 32,    /* e.g. the client runs already */
  CHORUS_TASK_CLOSED = 33,    /* too late for this round */
  CHORUS_NOT_INVITED = 34,    /* no task in this round */

  /* Come back later. */
  CHORUS_BUSY = 40,          /* no memory, or another process uses the state folder */
  CHORUS_SHUTTING_DOWN = 41, /* the server is draining */
  CHORUS_TIMED_OUT = 42,     /* a deadline passed */
  CHORUS_CANCELLED = 43,     /* the task is no longer wanted */

  /* The world around the process. */
  CHORUS_CONNECTION_FAILED = 50, /* no connection, or it was closed */
  CHORUS_TLS_FAILED = 51,        /* the encrypted channel could not be made or kept */
  CHORUS_IO_FAILED = 52,         /* a file operation failed */
  CHORUS_DISK_FULL = 53,         /* no space left */
  CHORUS_CORRUPT_DATA = 54,      /* a stored file fails its checksum */
  CHORUS_DATABASE_FAILED = 55,   /* of the server */

  CHORUS_INTERNAL = 90, /* a defect of Chorus: please report it */

  CHORUS_STATUS_INT = 0x7fffffff /* no status: makes every int a possible value */
} chorus_status;

/* The name of a status, "not_found"; "ok"; "unknown" for other numbers. Lives for ever. */
CHORUS_EXPORT const char* chorus_status_name(chorus_status status);

/* Whether the same call may succeed later without anybody changing anything. */
CHORUS_EXPORT bool chorus_may_retry(chorus_status status);

/* The sentence of the last failure on this thread, at most 1,023 bytes; "" before the first.
 * Successful calls leave it alone. Lives until the next failure on this thread. */
CHORUS_EXPORT const char* chorus_last_error(void);

/* For callbacks: makes `sentence` (may be null) the last error and returns `status`.
 * `return chorus_fail(CHORUS_UNSUPPORTED_FEATURE, "this device knows no curricula");` */
CHORUS_EXPORT chorus_status chorus_fail(chorus_status status, const char* sentence);

#ifdef __cplusplus
}
#endif
#endif
