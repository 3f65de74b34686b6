// SPDX-License-Identifier: GPL-2.0
/* Receive side scaling: indirection tables, keys, RSS contexts. */

#include <net/netdev_lock.h>

#include "zcnic_steer.h"

#define ZCNIC_HASH_IP	(RXH_IP_SRC | RXH_IP_DST)
#define ZCNIC_HASH_L4	(RXH_L4_B_0_1 | RXH_L4_B_2_3)

static int zcnic_hash_kind(u32 flow_type)
{
	switch (flow_type) {
	case TCP_V4_FLOW:
		return ZCNIC_HASH_TCP4;
	case UDP_V4_FLOW:
		return ZCNIC_HASH_UDP4;
	case IPV4_FLOW:
		return ZCNIC_HASH_IP4;
	case TCP_V6_FLOW:
		return ZCNIC_HASH_TCP6;
	case UDP_V6_FLOW:
		return ZCNIC_HASH_UDP6;
	case IPV6_FLOW:
		return ZCNIC_HASH_IP6;
	default:
		return -EOPNOTSUPP;
	}
}

static u32 zcnic_hash_possible(int kind)
{
	if (kind == ZCNIC_HASH_IP4 || kind == ZCNIC_HASH_IP6)
		return ZCNIC_HASH_IP;
	return ZCNIC_HASH_IP | ZCNIC_HASH_L4;
}

unsigned int zcnic_rss_queue(const struct zcnic_rss *rss, const struct zcnic_flow *flow,
			     struct zcnic_cb *cb)
{
	int kind = zcnic_hash_kind(flow->type);

	if (kind >= 0 && rss->fields[kind]) {
		cb->hash = zcnic_hash(rss, flow, rss->fields[kind]);
		cb->hash_type = rss->fields[kind] & ZCNIC_HASH_L4 ? PKT_HASH_TYPE_L4 :
				PKT_HASH_TYPE_L3;
	}
	return rss->indir[cb->hash % ZCNIC_INDIR_SIZE];
}

static struct zcnic_rss *zcnic_rss_get(struct zcnic_port *port, unsigned int id)
{
	if (id >= ZCNIC_CONTEXTS)
		return NULL;
	return rcu_dereference_protected(port->steering->rss[id], true);
}

static void zcnic_rss_spread(struct zcnic_rss *rss, unsigned int queues)
{
	unsigned int i;

	for (i = 0; i < ZCNIC_INDIR_SIZE; i++)
		rss->indir[i] = ethtool_rxfh_indir_default(i, queues);
}

static struct zcnic_rss *zcnic_rss_copy(struct zcnic_port *port, unsigned int id)
{
	return kmemdup(zcnic_rss_get(port, id), sizeof(struct zcnic_rss), GFP_KERNEL);
}

static void zcnic_rss_replace(struct zcnic_port *port, unsigned int id, struct zcnic_rss *rss)
{
	struct zcnic_rss *old = zcnic_rss_get(port, id);

	netdev_assert_locked(port->dev);
	rcu_assign_pointer(port->steering->rss[id], rss);
	if (old)
		kfree_rcu(old, rcu);
}

struct zcnic_rss *zcnic_rss_respread(struct zcnic_port *port, unsigned int n)
{
	struct zcnic_rss *rss;

	if (netif_is_rxfh_configured(port->dev))
		return NULL;
	rss = zcnic_rss_copy(port, 0);
	if (!rss)
		return ERR_PTR(-ENOMEM);
	zcnic_rss_spread(rss, n);
	return rss;
}

struct zcnic_rss *zcnic_rss_swap(struct zcnic_port *port, struct zcnic_rss *rss)
{
	struct zcnic_rss *old = zcnic_rss_get(port, 0);

	if (!rss)
		return NULL;
	netdev_assert_locked(port->dev);
	rcu_assign_pointer(port->steering->rss[0], rss);
	return old;
}

int zcnic_rss_init(struct zcnic_port *port)
{
	struct zcnic_rss *rss = kzalloc_obj(*rss);
	unsigned int kind;

	if (!rss)
		return -ENOMEM;
	netdev_rss_key_fill(rss->key, ZCNIC_KEY_SIZE);
	zcnic_hash_prepare(rss);
	zcnic_rss_spread(rss, port->queues);
	for (kind = 0; kind < ZCNIC_HASH_KINDS; kind++)
		rss->fields[kind] = zcnic_hash_possible(kind);
	RCU_INIT_POINTER(port->steering->rss[0], rss);
	return 0;
}

u32 zcnic_get_rxfh_key_size(struct net_device *dev)
{
	return ZCNIC_KEY_SIZE;
}

u32 zcnic_get_rxfh_indir_size(struct net_device *dev)
{
	return ZCNIC_INDIR_SIZE;
}

int zcnic_get_rxfh(struct net_device *dev, struct ethtool_rxfh_param *rxfh)
{
	struct zcnic_rss *rss = zcnic_rss_get(netdev_priv(dev), 0);
	unsigned int i;

	rxfh->hfunc = ETH_RSS_HASH_TOP;
	rxfh->input_xfrm = rss->input_xfrm;
	if (rxfh->key)
		memcpy(rxfh->key, rss->key, ZCNIC_KEY_SIZE);
	for (i = 0; rxfh->indir && i < ZCNIC_INDIR_SIZE; i++)
		rxfh->indir[i] = rss->indir[i];
	return 0;
}

/* Puts into @rss what the user asked for. */
static int zcnic_rss_apply(struct zcnic_rss *rss, const struct ethtool_rxfh_param *rxfh,
			   struct netlink_ext_ack *extack)
{
	unsigned int i;

	if (rxfh->hfunc != ETH_RSS_HASH_NO_CHANGE && rxfh->hfunc != ETH_RSS_HASH_TOP) {
		NL_SET_ERR_MSG_MOD(extack, "the only hash function is toeplitz");
		return -EOPNOTSUPP;
	}
	for (i = 0; rxfh->indir && i < ZCNIC_INDIR_SIZE; i++)
		rss->indir[i] = rxfh->indir[i];
	if (rxfh->key) {
		memcpy(rss->key, rxfh->key, ZCNIC_KEY_SIZE);
		zcnic_hash_prepare(rss);
	}
	if (rxfh->input_xfrm != RXH_XFRM_NO_CHANGE)
		rss->input_xfrm = rxfh->input_xfrm;
	return 0;
}

static int zcnic_rss_change(struct net_device *dev, unsigned int id,
			    const struct ethtool_rxfh_param *rxfh,
			    struct netlink_ext_ack *extack)
{
	struct zcnic_port *port = netdev_priv(dev);
	struct zcnic_rss *rss = zcnic_rss_copy(port, id);
	int err;

	if (!rss)
		return -ENOMEM;
	err = zcnic_rss_apply(rss, rxfh, extack);
	if (err) {
		kfree(rss);
		return err;
	}
	zcnic_rss_replace(port, id, rss);
	return 0;
}

int zcnic_set_rxfh(struct net_device *dev, struct ethtool_rxfh_param *rxfh,
		   struct netlink_ext_ack *extack)
{
	return zcnic_rss_change(dev, 0, rxfh, extack);
}

/* A new context starts as the main one, spread over all queues. */
int zcnic_create_rxfh_context(struct net_device *dev, struct ethtool_rxfh_context *ctx,
			      const struct ethtool_rxfh_param *rxfh,
			      struct netlink_ext_ack *extack)
{
	struct zcnic_port *port = netdev_priv(dev);
	struct zcnic_rss *rss = zcnic_rss_copy(port, 0);
	unsigned int i;
	int err;

	if (!rss)
		return -ENOMEM;
	zcnic_rss_spread(rss, port->queues);
	err = zcnic_rss_apply(rss, rxfh, extack);
	if (err) {
		kfree(rss);
		return err;
	}
	for (i = 0; i < ZCNIC_INDIR_SIZE; i++)
		ethtool_rxfh_context_indir(ctx)[i] = rss->indir[i];
	memcpy(ethtool_rxfh_context_key(ctx), rss->key, ZCNIC_KEY_SIZE);
	ctx->hfunc = ETH_RSS_HASH_TOP;
	ctx->input_xfrm = rss->input_xfrm;
	zcnic_rss_replace(port, rxfh->rss_context, rss);
	return 0;
}

int zcnic_modify_rxfh_context(struct net_device *dev, struct ethtool_rxfh_context *ctx,
			      const struct ethtool_rxfh_param *rxfh,
			      struct netlink_ext_ack *extack)
{
	return zcnic_rss_change(dev, rxfh->rss_context, rxfh, extack);
}

/* ethtool has made sure that no rule leads here. */
int zcnic_remove_rxfh_context(struct net_device *dev, struct ethtool_rxfh_context *ctx,
			      u32 id, struct netlink_ext_ack *extack)
{
	zcnic_rss_replace(netdev_priv(dev), id, NULL);
	return 0;
}

int zcnic_get_rxfh_fields(struct net_device *dev, struct ethtool_rxfh_fields *fields)
{
	struct zcnic_port *port = netdev_priv(dev);
	int kind = zcnic_hash_kind(fields->flow_type);
	struct zcnic_rss *rss;

	if (kind < 0)
		return kind;
	rss = zcnic_rss_get(port, fields->rss_context);
	if (!rss)
		return -ENOENT;
	fields->data = rss->fields[kind];
	return 0;
}

int zcnic_set_rxfh_fields(struct net_device *dev, const struct ethtool_rxfh_fields *fields,
			  struct netlink_ext_ack *extack)
{
	struct zcnic_port *port = netdev_priv(dev);
	int kind = zcnic_hash_kind(fields->flow_type);
	struct zcnic_rss *rss;

	if (kind < 0)
		return kind;
	if (fields->data & ~zcnic_hash_possible(kind)) {
		NL_SET_ERR_MSG_MOD(extack, "only addresses and ports can be hashed");
		return -EOPNOTSUPP;
	}
	if (!zcnic_rss_get(port, fields->rss_context))
		return -ENOENT;
	rss = zcnic_rss_copy(port, fields->rss_context);
	if (!rss)
		return -ENOMEM;
	rss->fields[kind] = fields->data;
	zcnic_rss_replace(port, fields->rss_context, rss);
	return 0;
}
