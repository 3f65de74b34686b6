// SPDX-License-Identifier: GPL-2.0
/* The receive side: the poll, and what it makes of packets on the wire. */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>

#include "zcnic_data.h"

#define ZCNIC_COPYBREAK	256		/* shorter frames need no buffer */
#define ZCNIC_RETRY_US	1000		/* between refills of a ring that ran low */

/* Frames that left the wire, not yet reported to the queue that sent them. */
struct zcnic_batch {
	struct zcnic_txq *txq;
	unsigned int packets;
	unsigned int bytes;
};

static void zcnic_flip(struct sk_buff *skb)
{
	const struct skb_shared_info *shinfo = skb_shinfo(skb);
	const skb_frag_t *frag;

	if (shinfo->nr_frags) {
		frag = &shinfo->frags[shinfo->nr_frags - 1];
		*((u8 *)skb_frag_address(frag) + skb_frag_size(frag) - 1) ^= 0xff;
	} else {
		skb->data[skb->len - 1] ^= 0xff;
	}
}

/* What the NIC found out about the checksum of layer 4. */
static void zcnic_checksum(struct zcnic_rxq *rxq, struct sk_buff *skb,
			   const struct zcnic_frame *frame, bool corrupt)
{
	const struct sk_buff *from = frame->skb;
	struct zcnic_rx_stats *stats = &rxq->stats;

	/*
	 * The sender left the sum to its hardware, which is this: for TCP, as
	 * long as nobody looks, it need not be computed. That is also the form
	 * in which hardware that coalesces packets hands them over.
	 */
	if (from->ip_summed == CHECKSUM_PARTIAL)
		skb_partial_csum_set(skb, skb_checksum_start_offset(from), from->csum_offset);
	else if (frame->tcp && zcnic_checksum_right(frame))
		skb->ip_summed = CHECKSUM_UNNECESSARY;
	if (skb->ip_summed == CHECKSUM_PARTIAL && !frame->tcp && !skb_checksum_help(skb))
		skb->ip_summed = CHECKSUM_UNNECESSARY;

	if (corrupt || !(rxq->port->dev->features & NETIF_F_RXCSUM)) {
		if (skb->ip_summed == CHECKSUM_PARTIAL && skb_frags_readable(skb))
			skb_checksum_help(skb);
		skb->ip_summed = CHECKSUM_NONE;
	}
	if (corrupt) {
		stats->csum_bad++;
		zcnic_flip(skb);
	}

	if (skb->ip_summed == CHECKSUM_NONE)
		stats->csum_none++;
	else
		stats->csum_unnecessary++;
}

static void zcnic_coalesced(struct zcnic_rxq *rxq, struct sk_buff *skb,
			    const struct zcnic_frame *frame)
{
	const struct skb_shared_info *from = skb_shinfo(frame->skb);
	struct skb_shared_info *shinfo = skb_shinfo(skb);

	shinfo->gso_size = from->gso_size;
	shinfo->gso_segs = DIV_ROUND_UP(frame->payload, from->gso_size);
	shinfo->gso_type = from->gso_type & (SKB_GSO_TCPV4 | SKB_GSO_TCPV6 | SKB_GSO_TCP_ECN |
					     SKB_GSO_TCP_FIXEDID);
	rxq->stats.gro_packets++;
	rxq->stats.gro_bytes += skb->len;
	rxq->stats.gro_wire_packets += shinfo->gso_segs;
	rxq->stats.gro_wire_bytes += skb->len + (shinfo->gso_segs - 1) * frame->hlen;
}

static void zcnic_deliver(struct zcnic_rxq *rxq, struct sk_buff *skb,
			  const struct zcnic_frame *frame)
{
	struct net_device *dev = rxq->port->dev;

	rxq->stats.packets++;
	rxq->stats.bytes += skb->len;
	if (dev->features & NETIF_F_RXHASH)
		skb_set_hash(skb, ZCNIC_CB(frame->skb)->hash, ZCNIC_CB(frame->skb)->hash_type);
	skb->protocol = eth_type_trans(skb, dev);
	skb_record_rx_queue(skb, rxq->index);
	napi_gro_receive(&rxq->napi, skb);
}

/* One frame of @len bytes of payload from @off: all of a packet, or a segment. */
static void zcnic_rx_frame(struct zcnic_rxq *rxq, const struct zcnic_frame *frame,
			   struct zcnic_reader *reader, u32 off, u32 len)
{
	bool whole = len == frame->skb->len - frame->hlen;
	struct zcnic_rxmem *mem = &rxq->mem;
	bool split, linear, corrupt;
	struct sk_buff *skb;
	unsigned int hits;

	split = mem->split && frame->tcp && len > mem->hds_thresh;
	hits = frame->tcp && len ? zcnic_faults_frame(rxq->port, split) : 0;
	if (hits & ZCNIC_HIT_DROP)
		return;
	if (hits & ZCNIC_HIT_UNSPLIT)
		split = false;
	corrupt = hits & ZCNIC_HIT_CORRUPT;
	/* The stack cannot check what it cannot read: the NIC must drop it. */
	if (corrupt && split && mem->unreadable) {
		rxq->stats.csum_bad++;
		return;
	}
	linear = !split && (mem->unreadable || frame->hlen + len <= ZCNIC_COPYBREAK);

	skb = napi_alloc_skb(&rxq->napi, frame->hlen + (linear ? len : 0));
	if (!skb) {
		rxq->stats.drop_no_memory++;
		return;
	}
	skb_put_data(skb, frame->skb->data, frame->hlen);
	if (!whole)
		zcnic_segment(skb->data, frame, off, len);
	if (linear) {
		zcnic_read(reader, frame->hlen + off, skb_put(skb, len), len);
	} else if (len && !zcnic_place(rxq, skb, reader, frame->hlen + off,
				       split ? 0 : frame->hlen, len)) {
		rxq->stats.drop_no_buffer++;
		dev_kfree_skb_any(skb);
		return;
	}

	rxq->stats.split += split;
	rxq->stats.nosplit += mem->split && frame->tcp && len && !split;
	/* Payload: of all that was split, and of all that was not, whatever it is. */
	*(split ? &rxq->stats.split_bytes : &rxq->stats.nosplit_bytes) += len;
	rxq->stats.linear += linear && len;
	zcnic_checksum(rxq, skb, frame, corrupt);
	if (skb_is_gso(frame->skb) && len > skb_shinfo(frame->skb)->gso_size)
		zcnic_coalesced(rxq, skb, frame);
	zcnic_deliver(rxq, skb, frame);
}

/* All frames of one packet. Returns how many. */
static int zcnic_rx_packet(struct zcnic_rxq *rxq, struct sk_buff *from)
{
	u32 gso = skb_is_gso(from) ? skb_shinfo(from)->gso_size : 0;
	struct zcnic_reader reader;
	struct zcnic_frame frame;
	int frames = 0;
	u32 off, len;

	zcnic_parse(from, &frame);
	len = gso ? min(gso, frame.payload) : from->len - frame.hlen;
	if (frame.hlen + len > READ_ONCE(rxq->port->dev->mtu) + VLAN_ETH_HLEN ||
	    (gso && !frame.tcp)) {
		rxq->stats.drop_length++;
		return 1;
	}

	zcnic_reader_init(&reader, from, zcnic_dma_dev(rxq->port));
	if (!gso || (rxq->port->dev->features & NETIF_F_GRO_HW)) {
		zcnic_rx_frame(rxq, &frame, &reader, 0, from->len - frame.hlen);
		return 1;
	}
	for (off = 0; off < frame.payload; off += len, frames++) {
		len = min(gso, frame.payload - off);
		zcnic_rx_frame(rxq, &frame, &reader, off, len);
		if (zcnic_posted(&rxq->mem) <= rxq->mem.ring_size / 2)
			zcnic_refill(rxq, GFP_ATOMIC | __GFP_NOWARN);
	}
	return frames;
}

/* The next packet of the wire, or NULL and when there will be one. */
static struct sk_buff *zcnic_next(struct zcnic_rxq *rxq, bool take, ktime_t *due)
{
	struct sk_buff *skb;

	*due = KTIME_MAX;
	spin_lock(&rxq->backlog.lock);
	skb = skb_peek(&rxq->backlog) ?: rxq->held;
	if (!skb)
		goto out;
	if (ZCNIC_CB(skb)->ready && ZCNIC_CB(skb)->ready > ktime_get()) {
		*due = ZCNIC_CB(skb)->ready;
		skb = NULL;
	} else if (take && skb == rxq->held) {
		rxq->held = NULL;
	} else if (take) {
		__skb_unlink(skb, &rxq->backlog);
	}
out:
	spin_unlock(&rxq->backlog.lock);
	return skb;
}

static void zcnic_batch_add(struct zcnic_batch *batch, struct zcnic_txq *txq, unsigned int bytes)
{
	if (batch->txq != txq && batch->packets) {
		zcnic_tx_complete(batch->txq, batch->packets, batch->bytes);
		batch->packets = 0;
		batch->bytes = 0;
	}
	batch->txq = txq;
	batch->packets++;
	batch->bytes += bytes;
}

/* On the CPU of the queue. Harmless where NAPI is stopped or deleted. */
void zcnic_interrupt(void *data)
{
	struct zcnic_rxq *rxq = data;

	napi_schedule(&rxq->napi);
}

/* Interrupt the CPU of the queue, if the queue has not masked that. */
void zcnic_raise(struct zcnic_rxq *rxq)
{
	if (!test_and_clear_bit(ZCNIC_RXQ_IRQ, &rxq->state))
		return;
	/* -EBUSY: one is on its way. -ENXIO: the CPU was taken offline. */
	if (rxq->cpu == smp_processor_id() ||
	    smp_call_function_single_async(rxq->cpu, &rxq->irq) == -ENXIO)
		zcnic_interrupt(rxq);
}

enum hrtimer_restart zcnic_timer(struct hrtimer *timer)
{
	struct zcnic_rxq *rxq = container_of(timer, struct zcnic_rxq, timer);

	napi_schedule(&rxq->napi);
	return HRTIMER_NORESTART;
}

int zcnic_poll(struct napi_struct *napi, int budget)
{
	struct zcnic_rxq *rxq = container_of(napi, struct zcnic_rxq, napi);
	struct zcnic_rxmem *mem = &rxq->mem;
	struct zcnic_batch batch = {};
	struct sk_buff *skb;
	int work = 0;
	ktime_t due;

	if (!budget)
		return 0;

	while (work < budget && (skb = zcnic_next(rxq, true, &due))) {
		struct zcnic_txq *txq = ZCNIC_CB(skb)->txq;
		unsigned int bytes = ZCNIC_CB(skb)->bytes;

		work += zcnic_rx_packet(rxq, skb);
		napi_consume_skb(skb, budget);
		zcnic_batch_add(&batch, txq, bytes);
		if (zcnic_posted(mem) <= mem->ring_size / 2)
			zcnic_refill(rxq, GFP_ATOMIC | __GFP_NOWARN);
	}
	if (batch.packets)
		zcnic_tx_complete(batch.txq, batch.packets, batch.bytes);
	zcnic_refill(rxq, GFP_ATOMIC | __GFP_NOWARN);
	if (work >= budget)
		return budget;

	/* Started by nobody else, so that a stopped queue has no timer. */
	if (zcnic_posted(mem) < mem->ring_size / 8)
		due = min(due, ktime_add_us(ktime_get(), ZCNIC_RETRY_US));
	if (due != KTIME_MAX)
		hrtimer_start(&rxq->timer, due, HRTIMER_MODE_ABS);

	if (napi_complete_done(napi, work)) {
		set_bit(ZCNIC_RXQ_IRQ, &rxq->state);
		/* Pairs with that of zcnic_raise(): one of both sees the packet. */
		smp_mb__after_atomic();
		if (zcnic_next(rxq, false, &due) ||
		    (due != KTIME_MAX && !hrtimer_active(&rxq->timer)))
			zcnic_raise(rxq);
	}
	return work;
}
