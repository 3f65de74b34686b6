// SPDX-License-Identifier: GPL-2.0
/* Headers: what they say, and what they say of one segment of a packet. */
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>

#include "zcnic_data.h"

/* Of a packet that the parser does not understand, so much is linear. */
#define ZCNIC_LINEAR	128

static void zcnic_parse_tcp(struct sk_buff *skb, struct zcnic_frame *frame, u32 end)
{
	const struct tcphdr *th;
	struct tcphdr buf;
	u32 hlen;

	th = skb_header_pointer(skb, frame->l4, sizeof(buf), &buf);
	if (!th || th->doff < sizeof(*th) / 4)
		return;

	hlen = frame->l4 + th->doff * 4;
	if (hlen > end || !pskb_may_pull(skb, hlen))
		return;

	frame->hlen = hlen;
	frame->payload = end - hlen;
	frame->tcp = true;
}

static void zcnic_parse_ipv4(struct sk_buff *skb, struct zcnic_frame *frame, u32 off)
{
	const struct iphdr *iph;
	struct iphdr buf;
	u32 end;

	iph = skb_header_pointer(skb, off, sizeof(buf), &buf);
	if (!iph || iph->version != 4 || iph->ihl < sizeof(*iph) / 4)
		return;

	frame->l3 = off;
	frame->l4 = off + iph->ihl * 4;
	end = skb_is_gso(skb) ? skb->len : min(skb->len, off + ntohs(iph->tot_len));
	if (iph->protocol == IPPROTO_TCP && !ip_is_fragment(iph))
		zcnic_parse_tcp(skb, frame, end);
}

static void zcnic_parse_ipv6(struct sk_buff *skb, struct zcnic_frame *frame, u32 off)
{
	const struct ipv6hdr *ip6h;
	struct ipv6hdr buf;
	u32 end;

	ip6h = skb_header_pointer(skb, off, sizeof(buf), &buf);
	if (!ip6h || ip6h->version != 6)
		return;

	frame->l3 = off;
	frame->l4 = off + sizeof(*ip6h);
	frame->ipv6 = true;
	end = frame->l4 + ntohs(ip6h->payload_len);
	end = skb_is_gso(skb) ? skb->len : min(skb->len, end);
	/* Like much hardware, it stops at extension headers. */
	if (ip6h->nexthdr == IPPROTO_TCP)
		zcnic_parse_tcp(skb, frame, end);
}

/* So much that headers are in it, and the checksum that is to be filled in. */
static u32 zcnic_linear(struct sk_buff *skb)
{
	u32 len = ZCNIC_LINEAR;

	if (skb->ip_summed == CHECKSUM_PARTIAL)
		len = max(len, skb_checksum_start_offset(skb) + skb->csum_offset + 2U);
	len = min(len, skb->len);
	return pskb_may_pull(skb, len) ? len : skb_headlen(skb);
}

/**
 * zcnic_parse() - find the headers of a packet
 * @skb:	packet with data at the Ethernet header; may be pulled from
 * @frame:	what was found; hlen bytes are in the linear part of @skb
 */
void zcnic_parse(struct sk_buff *skb, struct zcnic_frame *frame)
{
	u32 off = ETH_HLEN;
	__be16 proto;

	memset(frame, 0, sizeof(*frame));
	frame->skb = skb;

	proto = ((struct ethhdr *)skb->data)->h_proto;
	if (proto == htons(ETH_P_8021Q)) {
		const struct vlan_hdr *vh;
		struct vlan_hdr buf;

		vh = skb_header_pointer(skb, off, sizeof(buf), &buf);
		proto = vh ? vh->h_vlan_encapsulated_proto : 0;
		off += VLAN_HLEN;
	}

	if (proto == htons(ETH_P_IP))
		zcnic_parse_ipv4(skb, frame, off);
	else if (proto == htons(ETH_P_IPV6))
		zcnic_parse_ipv6(skb, frame, off);

	if (!frame->tcp) {
		frame->hlen = zcnic_linear(skb);
		frame->payload = skb->len - frame->hlen;
	}
}

/**
 * zcnic_segment() - make the headers of a packet those of one of its segments
 * @headers:	a copy of the headers
 * @frame:	the packet
 * @off:	where the segment starts in the payload
 * @len:	of the segment
 */
void zcnic_segment(void *headers, const struct zcnic_frame *frame, u32 off, u32 len)
{
	struct tcphdr *th = headers + frame->l4;
	u32 l4_len = frame->hlen - frame->l4 + len;

	th->seq = htonl(ntohl(th->seq) + off);
	if (off)
		th->cwr = 0;
	if (off + len < frame->payload) {
		th->fin = 0;
		th->psh = 0;
	}

	if (frame->ipv6) {
		struct ipv6hdr *ip6h = headers + frame->l3;

		ip6h->payload_len = htons(l4_len);
		th->check = ~csum_ipv6_magic(&ip6h->saddr, &ip6h->daddr, l4_len, IPPROTO_TCP, 0);
	} else {
		struct iphdr *iph = headers + frame->l3;

		iph->tot_len = htons(frame->l4 - frame->l3 + l4_len);
		if (!(skb_shinfo(frame->skb)->gso_type & SKB_GSO_TCP_FIXEDID))
			iph->id = htons(ntohs(iph->id) + off / skb_shinfo(frame->skb)->gso_size);
		ip_send_check(iph);
		th->check = ~csum_tcpudp_magic(iph->saddr, iph->daddr, l4_len, IPPROTO_TCP, 0);
	}
}

/* Of a TCP packet that its sender checksummed in software. */
bool zcnic_checksum_right(const struct zcnic_frame *frame)
{
	u32 len = frame->hlen + frame->payload - frame->l4;
	const struct sk_buff *skb = frame->skb;
	__wsum sum;

	if (!skb_frags_readable(skb))
		return true;

	sum = skb_checksum(skb, frame->l4, len, 0);
	if (frame->ipv6) {
		const struct ipv6hdr *ip6h = (void *)skb->data + frame->l3;

		return !csum_ipv6_magic(&ip6h->saddr, &ip6h->daddr, len, IPPROTO_TCP, sum);
	}
	return !csum_tcpudp_magic(((struct iphdr *)(skb->data + frame->l3))->saddr,
				  ((struct iphdr *)(skb->data + frame->l3))->daddr,
				  len, IPPROTO_TCP, sum);
}

void zcnic_reader_init(struct zcnic_reader *reader, const struct sk_buff *skb,
		       struct device *dma_dev)
{
	reader->skb = skb;
	reader->dma_dev = dma_dev;
	reader->frag = -1;
	reader->start = 0;
}

static u32 zcnic_part_len(const struct zcnic_reader *reader)
{
	if (reader->frag < 0)
		return skb_headlen(reader->skb);
	return skb_frag_size(&skb_shinfo(reader->skb)->frags[reader->frag]);
}

static const void *zcnic_part(const struct zcnic_reader *reader)
{
	const skb_frag_t *frag;

	if (reader->frag < 0)
		return reader->skb->data;

	frag = &skb_shinfo(reader->skb)->frags[reader->frag];
	if (skb_frag_is_net_iov(frag))
		return zcnic_dma_to_virt(reader->dma_dev,
					 netmem_get_dma_addr(skb_frag_netmem(frag)) +
					 skb_frag_off(frag));
	return skb_frag_address(frag);
}

/**
 * zcnic_read() - copy out of a packet, of whatever memory it is made
 * @reader:	moves up to @off
 * @off:	not below any earlier one; the packet has @len bytes from there
 * @to:		where to
 * @len:	how much
 */
void zcnic_read(struct zcnic_reader *reader, u32 off, void *to, u32 len)
{
	while (len) {
		u32 part = zcnic_part_len(reader);
		u32 at = off - reader->start;
		u32 n;

		if (at >= part) {
			reader->start += part;
			reader->frag++;
			continue;
		}
		n = min(len, part - at);
		memcpy(to, zcnic_part(reader) + at, n);
		off += n;
		to += n;
		len -= n;
	}
}
