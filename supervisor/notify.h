/* notify - tells whoever supervises the supervisor (systemd: Type=notify) how we are. */
#ifndef SUPERVISOR_NOTIFY_H
#define SUPERVISOR_NOTIFY_H

/* Sends `state` ("READY=1", "STOPPING=1") to the datagram socket that NOTIFY_SOCKET names. Nothing
 * happens where it names none; never blocks. */
void notify_parent(const char *state);

#endif
