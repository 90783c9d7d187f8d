/* Enrolment, and the client that takes part. chorus/chorus.h has the conventions. */
#ifndef CHORUS_C_CLIENT_H
#define CHORUS_C_CLIENT_H

#include "chorus/c/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of the longest name of a device or job, with its zero byte. */
#define CHORUS_NAME_SIZE 64

typedef struct chorus_enroll_options {
  size_t size;
  const char* token; /* the join token that `chorus enroll` printed */
  const char* state; /* state folder, made when missing (0700): the device's identity */
  const char* name;  /* wanted device name; null: the token decides */
} chorus_enroll_options;

/* Makes a key that never leaves the device, sends a certificate request, stores the identity.
 * Blocks for at most some 40 seconds. Repeating it with the same token after a lost reply is safe.
 * name: receives the device's name, name_size bytes long (CHORUS_NAME_SIZE is enough); may be null.
 * Errors: CHORUS_TOKEN_INVALID; CHORUS_ALREADY_EXISTS: the folder holds an identity (then there is
 * nothing to do), or the name is taken; CHORUS_UNAUTHENTICATED: not the server that the token
 * names; CHORUS_CONNECTION_FAILED, CHORUS_IO_FAILED, … */
CHORUS_EXPORT chorus_status chorus_enroll(const chorus_enroll_options* options,
                                          char* name,
                                          size_t name_size);

/* What the device is doing. */
typedef enum chorus_state {
  CHORUS_CONNECTING = 0, /* or waiting to try again */
  CHORUS_WAITING = 1,    /* connected, no task at present */
  CHORUS_DOWNLOADING = 2,
  CHORUS_TRAINING = 3,
  CHORUS_EVALUATING = 4,
  CHORUS_UPLOADING = 5,
  CHORUS_SLEEPING = 6, /* told to come back later, or not eligible */
  CHORUS_STOPPED = 7,
  CHORUS_STATE_INT = 0x7fffffff /* no state: makes every int a possible value */
} chorus_state;

/* "training"; "unknown" for other numbers. Lives for ever. */
CHORUS_EXPORT const char* chorus_state_name(chorus_state state);

typedef struct chorus_progress {
  chorus_state state;
  const char* job;    /* "" when there is no task */
  uint64_t round;     /* from 1 */
  uint64_t done;      /* bytes moved, while downloading or uploading … */
  uint64_t total;     /* … of so many */
  const char* detail; /* e.g. why it cannot connect; may be "" */
} chorus_progress;

/* Flags of a client. */
enum {
  /* A finished update is not written to the state folder before it is offered: saves one synced
   * write per task, and a power cut or restart loses the task in hand. Nothing that the server has
   * acknowledged is lost either way. */
  CHORUS_CLIENT_UPLOAD_IN_MEMORY = 1,
  /* Versions are not kept on disk: a restart downloads again. */
  CHORUS_CLIENT_NO_VERSION_CACHE = 2
};

typedef struct chorus_client_options {
  size_t size;
  const char* state;             /* state folder of an enrolled device; one process uses it */
  const char* server;            /* "host:port"; null: the one that the device enrolled at */
  const char* const* jobs;       /* jobs to take part in … */
  size_t job_count;              /* … 0: any */
  const char* software;          /* what the operator sees, 1 to 64 bytes; null: "libchorus" */
  uint64_t tasks_max;            /* leave after so many accepted training tasks; 0: never */
  uint64_t eligibility_interval; /* ms, how soon to ask again when not eligible; 0: 30,000 */
  uint32_t flags;                /* CHORUS_CLIENT_… */

  /* May the device work now (charging, unmetered network, idle)? Asked before each task and each
   * connection attempt, on the thread of chorus_client_run(). Null: always. */
  bool (*eligible)(void* context);
  /* Told of every change, on the thread of chorus_client_run(). Must not block. `progress` and its
   * texts live during the call. May be null. */
  void (*on_progress)(const chorus_progress* progress, void* context);
  void* context; /* of both; must live as long as the client */
} chorus_client_options;

typedef struct chorus_client chorus_client;
typedef struct chorus_trainer chorus_trainer; /* chorus/c/trainer.h, chorus/c/builtin.h */

/* A client of an enrolled device; nothing is connected yet.
 * Errors: CHORUS_NOT_FOUND: no identity in the state folder, enrol first; CHORUS_MALFORMED_FILE;
 * CHORUS_BUSY: another process or client uses the folder; CHORUS_IO_FAILED */
CHORUS_EXPORT chorus_status chorus_client_create(const chorus_client_options* options,
                                                 chorus_client** client);

/* What happened during a run. */
typedef struct chorus_run_summary {
  size_t size;
  uint64_t accepted;   /* updates that the server counted */
  uint64_t evaluated;  /* evaluation reports that it counted */
  uint64_t rejected;   /* offers refused with a reason that lies in the update */
  uint64_t discarded;  /* offers that came too late or were not needed */
  uint64_t reconnects; /* connections after the first */
  uint64_t bytes_sent; /* frames, without what TLS adds */
  uint64_t bytes_received;
} chorus_run_summary;

/* Connects, waits for tasks, trains, uploads, until chorus_client_stop(), tasks_max, or an error
 * that a person must act on. Blocks. Loss of network or server is no error: it reconnects, and
 * resumes downloads and uploads where they stopped. The trainer is called from another thread, one
 * call at a time. One run at a time; it may be called again after it has ended.
 * summary: may be null; filled in on success only.
 * Errors: CHORUS_REVOKED, CHORUS_CERTIFICATE_EXPIRED, CHORUS_UNAUTHENTICATED,
 * CHORUS_UNSUPPORTED_VERSION, CHORUS_MALFORMED_FILE, CHORUS_IO_FAILED, CHORUS_WRONG_STATE: it runs
 * already. docs/sdk.md says what to do about each. */
CHORUS_EXPORT chorus_status chorus_client_run(chorus_client* client,
                                              chorus_trainer* trainer,
                                              chorus_run_summary* summary);

/* Ends chorus_client_run() soon; before it, makes the next one end at once. From any thread, any
 * number of times, but not from inside a signal handler (it takes a lock). The trainer is told by
 * chorus_task_cancelled() and waited for. */
CHORUS_EXPORT chorus_status chorus_client_stop(chorus_client* client);

/* Closes the client. A run on another thread is stopped and ends by itself. */
CHORUS_EXPORT void chorus_client_destroy(chorus_client** client);

#ifdef __cplusplus
}
#endif
#endif
