/* The version of this build. */
#ifndef FH_SERVER_VERSION_H
#define FH_SERVER_VERSION_H

#define FH_VERSION "0.1.0"

#endif
