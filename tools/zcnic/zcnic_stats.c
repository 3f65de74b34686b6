// SPDX-License-Identifier: GPL-2.0
/* Counters: of the device, of its queues, and by name. */
#include <linux/ethtool.h>
#include <net/netdev_lock.h>

#include "zcnic_data.h"

struct zcnic_counter {
	const char *name;
	size_t offset;
};

#define ZCNIC_RX(field)		{ #field, offsetof(struct zcnic_rx_stats, field) }
#define ZCNIC_TX(field)		{ #field, offsetof(struct zcnic_tx_stats, field) }
#define ZCNIC_FAULT(name, hits)	{ "fault_" #name, offsetof(struct zcnic_port, faults.hits) }

static const struct zcnic_counter zcnic_rx_counters[] = {
	ZCNIC_RX(packets), ZCNIC_RX(bytes), ZCNIC_RX(split), ZCNIC_RX(nosplit), ZCNIC_RX(linear),
	ZCNIC_RX(split_bytes), ZCNIC_RX(nosplit_bytes),
	ZCNIC_RX(alloc_fail), ZCNIC_RX(drop_no_buffer), ZCNIC_RX(drop_no_memory),
	ZCNIC_RX(drop_length), ZCNIC_RX(csum_none), ZCNIC_RX(csum_unnecessary),
	ZCNIC_RX(csum_bad), ZCNIC_RX(gro_packets), ZCNIC_RX(gro_bytes),
	ZCNIC_RX(gro_wire_packets), ZCNIC_RX(gro_wire_bytes), ZCNIC_RX(restarts),
};

static const struct zcnic_counter zcnic_tx_counters[] = {
	ZCNIC_TX(packets), ZCNIC_TX(bytes), ZCNIC_TX(gso_packets), ZCNIC_TX(gso_bytes),
	ZCNIC_TX(gso_wire_packets), ZCNIC_TX(needs_csum), ZCNIC_TX(csum_none),
	ZCNIC_TX(dropped), ZCNIC_TX(stop), ZCNIC_TX(wake),
};

static const struct zcnic_counter zcnic_port_counters[] = {
	{ "rule_drops", offsetof(struct zcnic_port, rule_drops) },
	{ "closed_drops", offsetof(struct zcnic_port, closed_drops) },
	ZCNIC_FAULT(drop, drop.hits), ZCNIC_FAULT(corrupt, corrupt.hits),
	ZCNIC_FAULT(unsplit, unsplit.hits), ZCNIC_FAULT(delay, delay.hits),
	ZCNIC_FAULT(reorder, reorder.hits), ZCNIC_FAULT(exhaust, exhaust_hits),
	ZCNIC_FAULT(fail_mem_alloc, fail_mem_alloc_hits),
	ZCNIC_FAULT(fail_start, fail_start_hits), ZCNIC_FAULT(link, link_hits),
};

unsigned int zcnic_counter_count(struct zcnic_port *port)
{
	return ARRAY_SIZE(zcnic_port_counters) +
	       port->max_queues * (ARRAY_SIZE(zcnic_rx_counters) + ARRAY_SIZE(zcnic_tx_counters));
}

void zcnic_counter_names(struct zcnic_port *port, u8 *data)
{
	unsigned int i, queue;

	for (i = 0; i < ARRAY_SIZE(zcnic_port_counters); i++)
		ethtool_puts(&data, zcnic_port_counters[i].name);
	for (queue = 0; queue < port->max_queues; queue++) {
		for (i = 0; i < ARRAY_SIZE(zcnic_rx_counters); i++)
			ethtool_sprintf(&data, "rx%u_%s", queue, zcnic_rx_counters[i].name);
		for (i = 0; i < ARRAY_SIZE(zcnic_tx_counters); i++)
			ethtool_sprintf(&data, "tx%u_%s", queue, zcnic_tx_counters[i].name);
	}
}

static u64 zcnic_counter(const void *from, const struct zcnic_counter *counter)
{
	return READ_ONCE(*(const u64 *)(from + counter->offset));
}

void zcnic_counter_values(struct zcnic_port *port, u64 *data)
{
	unsigned int i, queue;

	for (i = 0; i < ARRAY_SIZE(zcnic_port_counters); i++)
		*data++ = atomic64_read((void *)port + zcnic_port_counters[i].offset);
	for (queue = 0; queue < port->max_queues; queue++) {
		for (i = 0; i < ARRAY_SIZE(zcnic_rx_counters); i++)
			*data++ = zcnic_counter(&port->rxq[queue].stats, &zcnic_rx_counters[i]);
		for (i = 0; i < ARRAY_SIZE(zcnic_tx_counters); i++)
			*data++ = zcnic_counter(&port->txq[queue].stats, &zcnic_tx_counters[i]);
	}
}

static u64 zcnic_rx_drops(const struct zcnic_rx_stats *stats)
{
	return stats->drop_no_buffer + stats->drop_no_memory + stats->drop_length;
}

void zcnic_get_stats64(struct net_device *dev, struct rtnl_link_stats64 *stats)
{
	struct zcnic_port *port = netdev_priv(dev);
	unsigned int i;

	for (i = 0; i < port->max_queues; i++) {
		const struct zcnic_rx_stats *rx = &port->rxq[i].stats;
		const struct zcnic_tx_stats *tx = &port->txq[i].stats;

		stats->rx_packets += rx->packets;
		stats->rx_bytes += rx->bytes;
		stats->rx_missed_errors += rx->drop_no_buffer;
		stats->rx_dropped += rx->drop_no_memory;
		stats->rx_length_errors += rx->drop_length;
		stats->rx_crc_errors += rx->csum_bad;
		stats->tx_packets += tx->packets;
		stats->tx_bytes += tx->bytes;
		stats->tx_dropped += tx->dropped;
	}
	stats->rx_errors = stats->rx_length_errors + stats->rx_crc_errors;
}

static void zcnic_fill_rx(const struct zcnic_rx_stats *from, struct netdev_queue_stats_rx *stats)
{
	stats->packets = from->packets;
	stats->bytes = from->bytes;
	stats->alloc_fail = from->alloc_fail;
	stats->hw_drops = zcnic_rx_drops(from);
	stats->hw_drop_overruns = from->drop_no_buffer;
	stats->csum_unnecessary = from->csum_unnecessary;
	stats->csum_none = from->csum_none;
	stats->csum_bad = from->csum_bad;
	stats->hw_gro_packets = from->gro_packets;
	stats->hw_gro_bytes = from->gro_bytes;
	stats->hw_gro_wire_packets = from->gro_wire_packets;
	stats->hw_gro_wire_bytes = from->gro_wire_bytes;
}

static void zcnic_fill_tx(const struct zcnic_tx_stats *from, struct netdev_queue_stats_tx *stats)
{
	stats->packets = from->packets;
	stats->bytes = from->bytes;
	stats->hw_drops = from->dropped;
	stats->csum_none = from->csum_none;
	stats->needs_csum = from->needs_csum;
	stats->hw_gso_packets = from->gso_packets;
	stats->hw_gso_bytes = from->gso_bytes;
	stats->hw_gso_wire_packets = from->gso_wire_packets;
	stats->stop = from->stop;
	stats->wake = from->wake;
}

static void zcnic_queue_stats_rx(struct net_device *dev, int index,
				 struct netdev_queue_stats_rx *stats)
{
	struct zcnic_port *port = netdev_priv(dev);

	zcnic_fill_rx(&port->rxq[index].stats, stats);
}

static void zcnic_queue_stats_tx(struct net_device *dev, int index,
				 struct netdev_queue_stats_tx *stats)
{
	struct zcnic_port *port = netdev_priv(dev);

	zcnic_fill_tx(&port->txq[index].stats, stats);
}

/* What queues that were since taken away had counted. */
static void zcnic_base_stats(struct net_device *dev, struct netdev_queue_stats_rx *rx,
			     struct netdev_queue_stats_tx *tx)
{
	struct zcnic_port *port = netdev_priv(dev);
	const struct zcnic_rx_stats no_rx = {};
	const struct zcnic_tx_stats no_tx = {};

	zcnic_fill_rx(&no_rx, rx);
	zcnic_fill_tx(&no_tx, tx);
	netdev_stat_queue_sum(dev, port->queues, port->max_queues, rx,
			      port->queues, port->max_queues, tx);
}

const struct netdev_stat_ops zcnic_stat_ops = {
	.get_queue_stats_rx	= zcnic_queue_stats_rx,
	.get_queue_stats_tx	= zcnic_queue_stats_tx,
	.get_base_stats		= zcnic_base_stats,
};
