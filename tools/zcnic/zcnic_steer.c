// SPDX-License-Identifier: GPL-2.0
/* Which receive queue a packet goes to. */

#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <net/dsfield.h>
#include <net/ip.h>
#include <net/ipv6.h>

#include "zcnic_steer.h"

/* The ports, where there is a layer 4 header to take them from. */
static __be32 zcnic_ports(const struct sk_buff *skb, int offset)
{
	__be32 buffer;
	const __be32 *ports = skb_header_pointer(skb, offset, sizeof(buffer), &buffer);

	return ports ? *ports : 0;
}

static void zcnic_classify_ip4(const struct sk_buff *skb, int offset, struct zcnic_flow *flow)
{
	struct iphdr buffer;
	const struct iphdr *ip = skb_header_pointer(skb, offset, sizeof(buffer), &buffer);

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return;
	flow->type = IPV4_FLOW;
	flow->user_type = IPV4_USER_FLOW;
	flow->ip4.ip4src = ip->saddr;
	flow->ip4.ip4dst = ip->daddr;
	flow->ip4.tos = ip->tos;
	flow->ip4.proto = ip->protocol;
	if (ip_is_fragment(ip))
		return;
	flow->ip4.l4_4_bytes = zcnic_ports(skb, offset + 4 * ip->ihl);
	if (ip->protocol == IPPROTO_TCP)
		flow->type = TCP_V4_FLOW;
	else if (ip->protocol == IPPROTO_UDP)
		flow->type = UDP_V4_FLOW;
}

static void zcnic_classify_ip6(const struct sk_buff *skb, int offset, struct zcnic_flow *flow)
{
	struct ipv6hdr buffer;
	const struct ipv6hdr *ip = skb_header_pointer(skb, offset, sizeof(buffer), &buffer);
	__be16 fragment;
	u8 protocol;

	if (!ip || ip->version != 6)
		return;
	flow->type = IPV6_FLOW;
	flow->user_type = IPV6_USER_FLOW;
	memcpy(flow->ip6.ip6src, &ip->saddr, sizeof(ip->saddr));
	memcpy(flow->ip6.ip6dst, &ip->daddr, sizeof(ip->daddr));
	flow->ip6.tclass = ipv6_get_dsfield(ip);
	protocol = ip->nexthdr;
	offset = ipv6_skip_exthdr(skb, offset + sizeof(buffer), &protocol, &fragment);
	flow->ip6.l4_proto = protocol;
	if (offset < 0 || fragment)
		return;
	flow->ip6.l4_4_bytes = zcnic_ports(skb, offset);
	if (protocol == IPPROTO_TCP)
		flow->type = TCP_V6_FLOW;
	else if (protocol == IPPROTO_UDP)
		flow->type = UDP_V6_FLOW;
}

/* Looks behind up to two VLAN tags, as the parsers of real devices do. */
static void zcnic_classify(const struct sk_buff *skb, struct zcnic_flow *flow)
{
	int offset = offsetof(struct ethhdr, h_proto), tags;
	const __be16 *type;
	__be16 buffer;

	memset(flow, 0, sizeof(*flow));
	for (tags = 0; tags <= 2; tags++, offset += VLAN_HLEN) {
		type = skb_header_pointer(skb, offset, sizeof(buffer), &buffer);
		if (!type)
			return;
		if (eth_type_vlan(*type))
			continue;
		if (*type == htons(ETH_P_IP))
			zcnic_classify_ip4(skb, offset + sizeof(buffer), flow);
		else if (*type == htons(ETH_P_IPV6))
			zcnic_classify_ip6(skb, offset + sizeof(buffer), flow);
		return;
	}
}

int zcnic_steer(struct zcnic_port *rx, struct sk_buff *skb)
{
	struct zcnic_steering *steering = rx->steering;
	const struct zcnic_rule *rule = NULL;
	const struct zcnic_rss *rss = NULL;
	struct zcnic_flow flow;
	unsigned int queue;

	zcnic_classify(skb, &flow);
	if (rx->dev->features & NETIF_F_NTUPLE)
		rule = zcnic_rule_match(steering, &flow);
	if (rule && rule->fs.ring_cookie == RX_CLS_FLOW_DISC)
		return -EPERM;
	if (rule && rule->fs.flow_type & FLOW_RSS)
		rss = rcu_dereference(steering->rss[rule->rss_context]);
	if (!rss)
		rss = rcu_dereference(steering->rss[0]);
	/* A packet that a rule takes straight to a queue is hashed as well. */
	queue = zcnic_rss_queue(rss, &flow, ZCNIC_CB(skb));
	if (rule && !(rule->fs.flow_type & FLOW_RSS))
		queue = rule->fs.ring_cookie;
	return queue;
}

int zcnic_steer_init(struct zcnic_port *port)
{
	int err;

	BUILD_BUG_ON(sizeof(struct ethtool_usrip6_spec) != 4 * ZCNIC_FLOW_WORDS);
	port->steering = kzalloc_obj(*port->steering);
	if (!port->steering)
		return -ENOMEM;
	err = zcnic_rss_init(port);
	if (err) {
		kfree(port->steering);
		port->steering = NULL;
	}
	return err;
}

/* Nobody sends to the port any more. */
void zcnic_steer_exit(struct zcnic_port *port)
{
	struct zcnic_steering *steering = port->steering;
	unsigned int i;

	for (i = 0; i < ZCNIC_RULES; i++)
		kfree(rcu_dereference_protected(steering->rules[i], true));
	for (i = 0; i < ZCNIC_CONTEXTS; i++)
		kfree(rcu_dereference_protected(steering->rss[i], true));
	kfree(steering);
	port->steering = NULL;
}
