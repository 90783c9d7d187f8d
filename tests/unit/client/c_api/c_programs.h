/* Tests that are written in C and run by c_api_test.cpp. */
#ifndef C_PROGRAMS_H
#define C_PROGRAMS_H

#ifdef __cplusplus
extern "C" {
#endif

/* Null: all is well. */
const char* c_header_problem(void);

#ifdef __cplusplus
}
#endif
#endif
