/* SPDX-License-Identifier: GPL-2.0 */
/* What the steering side of zcnic shares: flows, rules, RSS contexts. */
#ifndef ZCNIC_STEER_H
#define ZCNIC_STEER_H

#include <linux/bitmap.h>
#include <linux/rcupdate.h>

#include "zcnic.h"

#define ZCNIC_CONTEXTS		64	/* the main one included */
#define ZCNIC_RULES		128
#define ZCNIC_INDIR_SIZE	128
#define ZCNIC_KEY_SIZE		40
#define ZCNIC_HASH_INPUT	36	/* both addresses and ports of IPv6 */
#define ZCNIC_FLOW_WORDS	10

/*
 * A packet, laid out like the user-defined flows of ethtool: addresses, first
 * four bytes of layer 4, type of service, protocol. The TCP and UDP flows of
 * ethtool are a prefix of that, and so is the input of the hash.
 */
struct zcnic_flow {
	u32 type;		/* TCP_V4_FLOW ... IPV6_FLOW, or 0: not IP */
	u32 user_type;		/* IPV4_USER_FLOW or IPV6_USER_FLOW */
	union {
		struct ethtool_usrip4_spec ip4;
		struct ethtool_usrip6_spec ip6;
		u32 words[ZCNIC_FLOW_WORDS];
	};
};

struct zcnic_rule {
	struct rcu_head rcu;
	struct ethtool_rx_flow_spec fs;		/* as the user gave it */
	u32 rss_context;
	u32 type;
	u32 mask[ZCNIC_FLOW_WORDS];
	u32 want[ZCNIC_FLOW_WORDS];		/* already masked */
};

enum zcnic_hash_kind {
	ZCNIC_HASH_TCP4,
	ZCNIC_HASH_UDP4,
	ZCNIC_HASH_IP4,
	ZCNIC_HASH_TCP6,
	ZCNIC_HASH_UDP6,
	ZCNIC_HASH_IP6,
	ZCNIC_HASH_KINDS,
};

/* One RSS context. Never changed once packets can see it, only replaced. */
struct zcnic_rss {
	struct rcu_head rcu;
	u32 fields[ZCNIC_HASH_KINDS];		/* RXH_* */
	u16 indir[ZCNIC_INDIR_SIZE];
	u8 key[ZCNIC_KEY_SIZE];
	u8 input_xfrm;
	u32 toeplitz[2 * ZCNIC_HASH_INPUT][16];	/* what each nibble adds */
};

/* Written under the instance lock of the port, read under RCU. */
struct zcnic_steering {
	struct zcnic_rss __rcu *rss[ZCNIC_CONTEXTS];
	struct zcnic_rule __rcu *rules[ZCNIC_RULES];
	DECLARE_BITMAP(used, ZCNIC_RULES);
};

/* After every change of the key. */
void zcnic_hash_prepare(struct zcnic_rss *rss);
u32 zcnic_hash(const struct zcnic_rss *rss, const struct zcnic_flow *flow, u32 fields);

int zcnic_rss_init(struct zcnic_port *port);
unsigned int zcnic_rss_queue(const struct zcnic_rss *rss, const struct zcnic_flow *flow,
			     struct zcnic_cb *cb);

/*
 * The main context spread over n queues, or NULL where the user chose its
 * table. To be swapped in; what comes out is the caller's to free.
 */
struct zcnic_rss *zcnic_rss_respread(struct zcnic_port *port, unsigned int n);
struct zcnic_rss *zcnic_rss_swap(struct zcnic_port *port, struct zcnic_rss *rss);

u32 zcnic_get_rxfh_key_size(struct net_device *dev);
u32 zcnic_get_rxfh_indir_size(struct net_device *dev);
int zcnic_get_rxfh(struct net_device *dev, struct ethtool_rxfh_param *rxfh);
int zcnic_set_rxfh(struct net_device *dev, struct ethtool_rxfh_param *rxfh,
		   struct netlink_ext_ack *extack);
int zcnic_get_rxfh_fields(struct net_device *dev, struct ethtool_rxfh_fields *fields);
int zcnic_set_rxfh_fields(struct net_device *dev, const struct ethtool_rxfh_fields *fields,
			  struct netlink_ext_ack *extack);
int zcnic_create_rxfh_context(struct net_device *dev, struct ethtool_rxfh_context *ctx,
			      const struct ethtool_rxfh_param *rxfh,
			      struct netlink_ext_ack *extack);
int zcnic_modify_rxfh_context(struct net_device *dev, struct ethtool_rxfh_context *ctx,
			      const struct ethtool_rxfh_param *rxfh,
			      struct netlink_ext_ack *extack);
int zcnic_remove_rxfh_context(struct net_device *dev, struct ethtool_rxfh_context *ctx,
			      u32 id, struct netlink_ext_ack *extack);

/* The first rule, by location, that @flow matches, or NULL. Under RCU. */
const struct zcnic_rule *zcnic_rule_match(struct zcnic_steering *steering,
					  const struct zcnic_flow *flow);
int zcnic_get_rxnfc(struct net_device *dev, struct ethtool_rxnfc *cmd, u32 *locations);
int zcnic_set_rxnfc(struct net_device *dev, struct ethtool_rxnfc *cmd);

#endif
