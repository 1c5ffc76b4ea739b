/* no_igd.c - what libnice asks libgupnp-igd for, and never gets: no port is forwarded by UPnP.
 * How: the agent finds this library under that one's name (CMakeLists.txt), and with it neither
 * libsoup, SQLite, libxml2 nor ICU are loaded: 2.3 MiB of each process, ten libraries. libnice
 * takes NULL for "not available"; ice.c switches UPnP off before it could ask. Where the agent is
 * installed without this library, the real one is loaded as ever. */
#include <stddef.h>

/* libgupnp-igd's ABI, of which no header is needed. */
size_t gupnp_simple_igd_get_type(void);
void *gupnp_simple_igd_thread_new(void);
void gupnp_simple_igd_add_port(void);
void gupnp_simple_igd_remove_port_local(void);

size_t gupnp_simple_igd_get_type(void)
{
    return 0; /* G_TYPE_INVALID */
}

void *gupnp_simple_igd_thread_new(void)
{
    return NULL;
}

void gupnp_simple_igd_add_port(void)
{
}

void gupnp_simple_igd_remove_port_local(void)
{
}
