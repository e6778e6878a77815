extern "C" {
#include "actors/ingress/meter.h"
}

#include <mutex>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <set>
#include <string>

using namespace prometheus;

struct meter {
    Registry registry;
    Family<Counter> &requests = BuildCounter()
                                    .Name("fte_http_requests_total")
                                    .Help("Requests that were answered, by route and status.")
                                    .Register(registry);
    Family<Histogram> &seconds = BuildHistogram()
                                     .Name("fte_http_request_seconds")
                                     .Help("Time from a request's head to its answer, by route.")
                                     .Register(registry);
    Family<Counter> &messages = BuildCounter()
                                    .Name("fte_messages_total")
                                    .Help("Messages that were posted, by what became of them.")
                                    .Register(registry);
    Family<Gauge> &totals =
        BuildGauge()
            .Name("fte_total")
            .Help("Of all conversations, by channel: rolled up from the database.")
            .Register(registry);
    Family<Gauge> &router = BuildGauge()
                                .Name("fte_router")
                                .Help("What this node's router has counted since its start.")
                                .Register(registry);
    Family<Gauge> &lag = BuildGauge()
                             .Name("fte_log_lag")
                             .Help("Records of the log that are not settled, by partition.")
                             .Register(registry);
    std::mutex lags_mutex;
    std::set<Gauge *> lags; /* all that are in `lag` */
    Gauge &open = BuildGauge()
                      .Name("fte_http_connections")
                      .Help("Connections that are open.")
                      .Register(registry)
                      .Add({});
    Counter &reaped = BuildCounter()
                          .Name("fte_http_connections_ended_total")
                          .Help("Connections that were ended because they were too slow, or others "
                                "needed the room.")
                          .Register(registry)
                          .Add({});
    Counter &turned_away =
        BuildCounter()
            .Name("fte_http_connections_reset_total")
            .Help("Connections that were reset since there was no room for them.")
            .Register(registry)
            .Add({});
};

extern "C" struct meter *
meter_new(void)
{
    return new meter;
}

extern "C" void
meter_free(struct meter **m_p)
{
    delete *m_p;
    *m_p = nullptr;
}

extern "C" void
meter_request(struct meter *m, const char *route, int status, double seconds)
{
    static const Histogram::BucketBoundaries bounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                       0.1,   0.25,   0.5,   1,    2.5,   5};
    m->requests.Add({{"route", route}, {"status", std::to_string(status)}}).Increment();
    m->seconds.Add({{"route", route}}, bounds).Observe(seconds);
}

extern "C" void
meter_message(struct meter *m, const char *outcome)
{
    m->messages.Add({{"outcome", outcome}}).Increment();
}

extern "C" void
meter_connections(struct meter *m, unsigned open)
{
    m->open.Set(open);
}

extern "C" void
meter_reaped(struct meter *m, unsigned n)
{
    m->reaped.Increment(n);
}

extern "C" void
meter_turned_away(struct meter *m, unsigned n)
{
    m->turned_away.Increment(n);
}

extern "C" void
meter_total(struct meter *m, struct str channel, struct str name, double figure)
{
    m->totals
        .Add(
            {{"channel", std::string(channel.p, channel.n)}, {"name", std::string(name.p, name.n)}})
        .Set(figure);
}

extern "C" void
meter_router(struct meter *m, struct str what, double count)
{
    m->router.Add({{"what", std::string(what.p, what.n)}}).Set(count);
}

extern "C" void
meter_lag(struct meter *m, const char *topic, int partition, double records)
{
    std::lock_guard<std::mutex> lock(m->lags_mutex);
    Gauge &gauge = m->lag.Add({{"topic", topic}, {"partition", std::to_string(partition)}});
    gauge.Set(records);
    m->lags.insert(&gauge);
}

extern "C" void
meter_lags_forget(struct meter *m)
{
    std::lock_guard<std::mutex> lock(m->lags_mutex);
    for (Gauge *gauge : m->lags) {
        m->lag.Remove(gauge);
    }
    m->lags.clear();
}

extern "C" void
meter_write(struct meter *m, struct buf *out)
{
    std::string text = TextSerializer().Serialize(m->registry.Collect());
    buf_add(out, text.data(), text.size());
}
