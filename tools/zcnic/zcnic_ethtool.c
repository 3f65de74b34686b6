// SPDX-License-Identifier: GPL-2.0
/* What ethtool shows of a port and may change. */

#include "zcnic_steer.h"

static void zcnic_get_drvinfo(struct net_device *dev, struct ethtool_drvinfo *info)
{
	strscpy(info->driver, ZCNIC_NAME, sizeof(info->driver));
	strscpy(info->bus_info, dev_name(dev->dev.parent), sizeof(info->bus_info));
}

static u32 zcnic_get_link(struct net_device *dev)
{
	return netif_carrier_ok(dev);
}

/* A 100G copper cable, or what a real port says when it is pulled. */
static int zcnic_get_link_ksettings(struct net_device *dev, struct ethtool_link_ksettings *link)
{
	bool up = netif_carrier_ok(dev);

	ethtool_link_ksettings_zero_link_mode(link, supported);
	ethtool_link_ksettings_zero_link_mode(link, advertising);
	ethtool_link_ksettings_add_link_mode(link, supported, 100000baseCR4_Full);
	ethtool_link_ksettings_add_link_mode(link, supported, FIBRE);
	link->base.speed = up ? SPEED_100000 : SPEED_UNKNOWN;
	link->base.duplex = up ? DUPLEX_FULL : DUPLEX_UNKNOWN;
	link->base.port = PORT_DA;
	link->base.autoneg = AUTONEG_DISABLE;
	return 0;
}

static void zcnic_get_channels(struct net_device *dev, struct ethtool_channels *channels)
{
	struct zcnic_port *port = netdev_priv(dev);

	channels->max_combined = port->max_queues;
	channels->combined_count = port->queues;
}

/*
 * A table that nobody chose follows the number of queues: away from those that
 * go before they are gone, on to new ones when they are there.
 */
static int zcnic_ethtool_set_channels(struct net_device *dev, struct ethtool_channels *channels)
{
	struct zcnic_port *port = netdev_priv(dev);
	bool shrinks = channels->combined_count < port->queues;
	struct zcnic_rss *spare;
	int err;

	spare = zcnic_rss_respread(port, channels->combined_count);
	if (IS_ERR(spare))
		return PTR_ERR(spare);
	if (shrinks)
		spare = zcnic_rss_swap(port, spare);
	err = zcnic_set_channels(port, channels->combined_count, NULL);
	if (shrinks ? err : !err)
		spare = zcnic_rss_swap(port, spare);
	if (spare)
		kfree_rcu(spare, rcu);
	return err;
}

/*
 * Split is reported as disabled until someone enables it, like on hardware;
 * what the core keeps as the configuration stays unknown until then.
 */
static void zcnic_get_ringparam(struct net_device *dev, struct ethtool_ringparam *ring,
				struct kernel_ethtool_ringparam *kernel_ring,
				struct netlink_ext_ack *extack)
{
	struct zcnic_port *port = netdev_priv(dev);

	ring->rx_max_pending = ZCNIC_RING_MAX;
	ring->tx_max_pending = ZCNIC_RING_MAX;
	ring->rx_pending = port->rings.rx;
	ring->tx_pending = port->rings.tx;
	kernel_ring->rx_buf_len = port->rings.buf_len;
	kernel_ring->tcp_data_split = port->rings.split ? ETHTOOL_TCP_DATA_SPLIT_ENABLED :
				      ETHTOOL_TCP_DATA_SPLIT_DISABLED;
	kernel_ring->hds_thresh = port->rings.hds_thresh;
	kernel_ring->hds_thresh_max = ZCNIC_HDS_THRESH_MAX;
}

static int zcnic_set_ringparam(struct net_device *dev, struct ethtool_ringparam *ring,
			       struct kernel_ethtool_ringparam *kernel_ring,
			       struct netlink_ext_ack *extack)
{
	struct zcnic_rings rings = {
		.rx = ring->rx_pending,
		.tx = ring->tx_pending,
		.buf_len = kernel_ring->rx_buf_len,
		.hds_thresh = kernel_ring->hds_thresh,
		.split = kernel_ring->tcp_data_split == ETHTOOL_TCP_DATA_SPLIT_ENABLED,
	};

	return zcnic_set_rings(netdev_priv(dev), &rings, extack);
}

static int zcnic_get_sset_count(struct net_device *dev, int set)
{
	if (set != ETH_SS_STATS)
		return -EOPNOTSUPP;
	return zcnic_counter_count(netdev_priv(dev));
}

static void zcnic_get_strings(struct net_device *dev, u32 set, u8 *data)
{
	if (set == ETH_SS_STATS)
		zcnic_counter_names(netdev_priv(dev), data);
}

static void zcnic_get_ethtool_stats(struct net_device *dev, struct ethtool_stats *stats, u64 *data)
{
	zcnic_counter_values(netdev_priv(dev), data);
}

static u32 zcnic_get_rx_ring_count(struct net_device *dev)
{
	struct zcnic_port *port = netdev_priv(dev);

	return port->queues;
}

const struct ethtool_ops zcnic_ethtool_ops = {
	.supported_input_xfrm	= RXH_XFRM_SYM_XOR | RXH_XFRM_SYM_OR_XOR,
	.rxfh_per_ctx_fields	= 1,
	.rxfh_per_ctx_key	= 1,
	.rxfh_max_num_contexts	= ZCNIC_CONTEXTS,
	.supported_ring_params	= ETHTOOL_RING_USE_RX_BUF_LEN |
				  ETHTOOL_RING_USE_TCP_DATA_SPLIT |
				  ETHTOOL_RING_USE_HDS_THRS,
#ifdef ETHTOOL_OP_NEEDS_RTNL_SCHANNELS
	/* For netif_set_real_num_queues(); older kernels always hold it. */
	.op_needs_rtnl		= ETHTOOL_OP_NEEDS_RTNL_SCHANNELS,
#endif
	.get_drvinfo		= zcnic_get_drvinfo,
	.get_link		= zcnic_get_link,
	.get_link_ksettings	= zcnic_get_link_ksettings,
	.get_channels		= zcnic_get_channels,
	.set_channels		= zcnic_ethtool_set_channels,
	.get_ringparam		= zcnic_get_ringparam,
	.set_ringparam		= zcnic_set_ringparam,
	.get_sset_count		= zcnic_get_sset_count,
	.get_strings		= zcnic_get_strings,
	.get_ethtool_stats	= zcnic_get_ethtool_stats,
	.get_rx_ring_count	= zcnic_get_rx_ring_count,
	.get_rxnfc		= zcnic_get_rxnfc,
	.set_rxnfc		= zcnic_set_rxnfc,
	.get_rxfh_key_size	= zcnic_get_rxfh_key_size,
	.get_rxfh_indir_size	= zcnic_get_rxfh_indir_size,
	.get_rxfh		= zcnic_get_rxfh,
	.set_rxfh		= zcnic_set_rxfh,
	.get_rxfh_fields	= zcnic_get_rxfh_fields,
	.set_rxfh_fields	= zcnic_set_rxfh_fields,
	.create_rxfh_context	= zcnic_create_rxfh_context,
	.modify_rxfh_context	= zcnic_modify_rxfh_context,
	.remove_rxfh_context	= zcnic_remove_rxfh_context,
};
