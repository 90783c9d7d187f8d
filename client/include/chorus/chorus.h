/* The C interface of libchorus: a device that takes part in a federation. C11, also C++.
 *
 * Conventions, which hold for every function and are not repeated:
 *
 *  1. Names begin with chorus_ or CHORUS_. Text is UTF-8 and ends with a zero byte; arrays are a
 *     pointer and a count of elements. Numbers of models are float32, times milliseconds.
 *  2. What can fail returns a chorus_status. After a failure chorus_last_error() says in a sentence
 *     what was wrong, where, and what was expected. A null pointer where none is allowed, a number
 *     out of its range, a struct of a wrong size or a closed handle is CHORUS_INVALID_ARGUMENT; no
 *     memory is CHORUS_BUSY. Functions that return no status give 0, false or null then. No
 *     exception comes through.
 *  3. Handles are opaque. `chorus_x_create(…, &x)` and the like make one, or set it to null when
 *     they fail; `chorus_x_destroy(&x)` closes it and sets it to null, and does nothing to a null
 *     one. What one handle has from another it shares: they may be closed in any order.
 *  4. A struct that you fill in begins with `size`: set it to sizeof, set what you need, and leave
 *     the rest 0, which is every field's default. So the struct may grow, and both older programs
 *     and older libraries go on working: `chorus_csv_options csv = {.size = sizeof csv};`
 *     A struct that the library fills in for you also begins with `size`, which you set. Structs
 *     that it hands out are behind a const pointer and grow at the end.
 *  5. What goes in is copied before the function returns, unless its comment says otherwise. What
 *     comes out belongs to the handle it came from and lives as long as that, unless its comment
 *     says otherwise. You free nothing but handles.
 *  6. A handle is used by one thread at a time; different handles by any threads. The exception is
 *     chorus_client_stop(). Callbacks say which thread calls them; they must return, not longjmp or
 *     throw; `context` comes back as it was given.
 *
 * libchorus has everything; libchorus-core has base, client, plan and trainer: a device that brings
 * its own trainer needs nobody's mathematics. Link one of the two. docs/sdk.md is the guide,
 * examples/c has whole programs.
 */
#ifndef CHORUS_CHORUS_H
#define CHORUS_CHORUS_H

#include "chorus/c/base.h"    /* status, errors, version */
#include "chorus/c/builtin.h" /* the trainer that comes with Chorus; models of files */
#include "chorus/c/client.h"  /* enrol, run */
#include "chorus/c/dataset.h" /* examples: from memory, from your own source */
#include "chorus/c/files.h"   /* examples: from files */
#include "chorus/c/plan.h"    /* what the server asks a trainer for */
#include "chorus/c/trainer.h" /* a trainer of your own */

#endif
