/* meter - what ingress counts, and its text for Prometheus. The C face of prometheus-cpp-core
 * (C++). Any thread. */
#ifndef ACTORS_INGRESS_METER_H
#define ACTORS_INGRESS_METER_H

#include "proto/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

struct meter;

struct meter *meter_new(void);
void meter_free(struct meter **m_p); /* accepts NULL */

/* A request was answered. `route` is a name of ours, never what a client sent. */
void meter_request(struct meter *m, const char *route, int status, double seconds);
/* What became of a message that was posted: accepted, repeated, conflict, invalid, limited,
 * unavailable. */
void meter_message(struct meter *m, const char *outcome);
/* Connections that are open now; how many were ended because they were too slow or others needed
 * the room; how many were reset since there was no room. */
void meter_connections(struct meter *m, unsigned open);
void meter_reaped(struct meter *m, unsigned n);
void meter_turned_away(struct meter *m, unsigned n);

/* A total of the whole system, as the metrics actor tells it: fte_total{channel, name}. */
void meter_total(struct meter *m, struct str channel, struct str name, double figure);

/* What this node's router has counted since its start: fte_router{what}. */
void meter_router(struct meter *m, struct str what, double count);
/* How many records of a partition of the log are not settled: fte_log_lag{topic, partition}.
 * meter_lags_forget() takes them away: what isn't known is not told. */
void meter_lag(struct meter *m, const char *topic, int partition, double records);
void meter_lags_forget(struct meter *m);

/* Appends all of it (text format 0.0.4). */
void meter_write(struct meter *m, struct buf *out);

#ifdef __cplusplus
}
#endif

#endif
