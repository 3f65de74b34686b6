// SPDX-License-Identifier: GPL-2.0
/* N-tuple rules: the lowest location that matches a packet decides. */

#include <net/netdev_lock.h>

#include "zcnic_steer.h"

const struct zcnic_rule *zcnic_rule_match(struct zcnic_steering *steering,
					  const struct zcnic_flow *flow)
{
	const struct zcnic_rule *rule;
	unsigned int location, i;
	u32 differs;

	for_each_set_bit(location, steering->used, ZCNIC_RULES) {
		rule = rcu_dereference(steering->rules[location]);
		if (!rule || (rule->type != flow->type && rule->type != flow->user_type))
			continue;
		for (i = 0, differs = 0; i < ZCNIC_FLOW_WORDS && !differs; i++)
			differs = (flow->words[i] & rule->mask[i]) ^ rule->want[i];
		if (!differs)
			return rule;
	}
	return NULL;
}

static struct zcnic_rule *zcnic_rule_at(struct net_device *dev, unsigned int location)
{
	struct zcnic_port *port = netdev_priv(dev);

	netdev_assert_locked(dev);
	if (location >= ZCNIC_RULES)
		return NULL;
	return rcu_dereference_protected(port->steering->rules[location], true);
}

/* How much of the specification there is to compare for a type of flow. */
static int zcnic_rule_length(const struct ethtool_rx_flow_spec *fs)
{
	switch (fs->flow_type & ~FLOW_RSS) {
	case TCP_V4_FLOW:
	case UDP_V4_FLOW:
		return offsetofend(struct ethtool_tcpip4_spec, tos);
	case TCP_V6_FLOW:
	case UDP_V6_FLOW:
		return offsetofend(struct ethtool_tcpip6_spec, tclass);
	case IPV4_USER_FLOW:
		/* The version is not a field to compare, but a promise. */
		if (fs->h_u.usr_ip4_spec.ip_ver != ETH_RX_NFC_IP4 ||
		    fs->m_u.usr_ip4_spec.ip_ver)
			return -EINVAL;
		return offsetofend(struct ethtool_usrip4_spec, proto);
	case IPV6_USER_FLOW:
		return offsetofend(struct ethtool_usrip6_spec, l4_proto);
	default:
		return -EOPNOTSUPP;
	}
}

/* Where a rule sends its packets has to exist. */
static int zcnic_rule_check_target(struct zcnic_port *port, const struct ethtool_rxnfc *cmd)
{
	const struct ethtool_rx_flow_spec *fs = &cmd->fs;

	if (fs->ring_cookie == RX_CLS_FLOW_WAKE)
		return -EOPNOTSUPP;
	if (fs->flow_type & FLOW_RSS) {
		if (fs->ring_cookie || cmd->rss_context >= ZCNIC_CONTEXTS ||
		    !rcu_access_pointer(port->steering->rss[cmd->rss_context]))
			return -EINVAL;
		return 0;
	}
	if (fs->ring_cookie != RX_CLS_FLOW_DISC && fs->ring_cookie >= port->queues)
		return -EINVAL;
	return 0;
}

static struct zcnic_rule *zcnic_rule_compile(struct zcnic_port *port,
					     const struct ethtool_rxnfc *cmd)
{
	struct zcnic_rule *rule;
	unsigned int i;
	int length, err;

	length = zcnic_rule_length(&cmd->fs);
	if (length < 0)
		return ERR_PTR(length);
	err = zcnic_rule_check_target(port, cmd);
	if (err)
		return ERR_PTR(err);

	rule = kzalloc_obj(*rule);
	if (!rule)
		return ERR_PTR(-ENOMEM);
	rule->fs = cmd->fs;
	rule->type = cmd->fs.flow_type & ~FLOW_RSS;
	if (cmd->fs.flow_type & FLOW_RSS)
		rule->rss_context = cmd->rss_context;
	memcpy(rule->mask, &cmd->fs.m_u, length);
	memcpy(rule->want, &cmd->fs.h_u, length);
	for (i = 0; i < ZCNIC_FLOW_WORDS; i++)
		rule->want[i] &= rule->mask[i];
	return rule;
}

/* The rule that matches the very same packets, or NULL. */
static struct zcnic_rule *zcnic_rule_twin(struct net_device *dev, const struct zcnic_rule *rule)
{
	struct zcnic_port *port = netdev_priv(dev);
	struct zcnic_rule *other;
	unsigned int location;

	for_each_set_bit(location, port->steering->used, ZCNIC_RULES) {
		other = zcnic_rule_at(dev, location);
		if (other->type == rule->type &&
		    !memcmp(other->mask, rule->mask, sizeof(rule->mask)) &&
		    !memcmp(other->want, rule->want, sizeof(rule->want)))
			return other;
	}
	return NULL;
}

/* Any place goes to the end of the table, so that the front stays free. */
static int zcnic_rule_place(const struct zcnic_steering *steering, u32 wish)
{
	int location = ZCNIC_RULES;

	switch (wish) {
	case RX_CLS_LOC_FIRST:
		location = find_first_zero_bit(steering->used, ZCNIC_RULES);
		return location < ZCNIC_RULES ? location : -ENOSPC;
	case RX_CLS_LOC_ANY:
	case RX_CLS_LOC_LAST:
		while (location-- > 0)
			if (!test_bit(location, steering->used))
				return location;
		return -ENOSPC;
	default:
		return wish < ZCNIC_RULES ? (int)wish : -EINVAL;
	}
}

/* A rule at a place that is taken replaces the one there. */
static int zcnic_rule_insert(struct net_device *dev, struct ethtool_rxnfc *cmd)
{
	struct zcnic_port *port = netdev_priv(dev);
	struct zcnic_steering *steering = port->steering;
	struct zcnic_rule *rule, *old, *twin;
	int location, err;

	if (!(dev->features & NETIF_F_NTUPLE))
		return -EOPNOTSUPP;
	rule = zcnic_rule_compile(port, cmd);
	if (IS_ERR(rule))
		return PTR_ERR(rule);

	twin = zcnic_rule_twin(dev, rule);
	if (twin && twin->fs.location != cmd->fs.location) {
		err = -EEXIST;
		goto free;
	}
	location = zcnic_rule_place(steering, cmd->fs.location);
	if (location < 0) {
		err = location;
		goto free;
	}
	cmd->fs.location = location;
	rule->fs.location = location;
	old = zcnic_rule_at(dev, location);
	rcu_assign_pointer(steering->rules[location], rule);
	set_bit(location, steering->used);
	if (old)
		kfree_rcu(old, rcu);
	return 0;

free:
	kfree(rule);
	return err;
}

static int zcnic_rule_delete(struct net_device *dev, u32 location)
{
	struct zcnic_port *port = netdev_priv(dev);
	struct zcnic_rule *rule = zcnic_rule_at(dev, location);

	if (!rule)
		return -ENOENT;
	clear_bit(location, port->steering->used);
	RCU_INIT_POINTER(port->steering->rules[location], NULL);
	kfree_rcu(rule, rcu);
	return 0;
}

int zcnic_set_rxnfc(struct net_device *dev, struct ethtool_rxnfc *cmd)
{
	switch (cmd->cmd) {
	case ETHTOOL_SRXCLSRLINS:
		return zcnic_rule_insert(dev, cmd);
	case ETHTOOL_SRXCLSRLDEL:
		return zcnic_rule_delete(dev, cmd->fs.location);
	default:
		return -EOPNOTSUPP;
	}
}

static int zcnic_rule_list(struct zcnic_port *port, struct ethtool_rxnfc *cmd, u32 *locations)
{
	unsigned int location, count = 0;

	cmd->data = ZCNIC_RULES;
	for_each_set_bit(location, port->steering->used, ZCNIC_RULES) {
		if (count == cmd->rule_cnt)
			return -EMSGSIZE;
		locations[count++] = location;
	}
	cmd->rule_cnt = count;
	return 0;
}

int zcnic_get_rxnfc(struct net_device *dev, struct ethtool_rxnfc *cmd, u32 *locations)
{
	struct zcnic_port *port = netdev_priv(dev);
	struct zcnic_rule *rule;

	switch (cmd->cmd) {
	case ETHTOOL_GRXCLSRLCNT:
		cmd->data = ZCNIC_RULES | RX_CLS_LOC_SPECIAL;
		cmd->rule_cnt = bitmap_weight(port->steering->used, ZCNIC_RULES);
		return 0;
	case ETHTOOL_GRXCLSRULE:
		rule = zcnic_rule_at(dev, cmd->fs.location);
		if (!rule)
			return -ENOENT;
		cmd->fs = rule->fs;
		cmd->rss_context = rule->rss_context;
		return 0;
	case ETHTOOL_GRXCLSRLALL:
		return zcnic_rule_list(port, cmd, locations);
	default:
		return -EOPNOTSUPP;
	}
}
