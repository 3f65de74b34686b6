// SPDX-License-Identifier: GPL-2.0
/* The transmit side, and the wire: packets wait at the receiver, referenced. */
#include <linux/delay.h>
#include <linux/etherdevice.h>

#include "zcnic_data.h"

#define ZCNIC_HOLD_US	1000	/* how long a held packet waits for its successor */

/* Room for packets in flight. The ring may have been made smaller meanwhile. */
static int zcnic_tx_room(const struct zcnic_txq *txq)
{
	int room = READ_ONCE(txq->port->rings.tx) - (READ_ONCE(txq->sent) - READ_ONCE(txq->done));

	return max(room, 0);
}

/* Called by whoever took the packets off the wire, on any CPU. */
void zcnic_tx_complete(struct zcnic_txq *txq, unsigned int packets, unsigned int bytes)
{
	struct net_device *dev = txq->port->dev;
	int woken;

	spin_lock_bh(&txq->lock);
	WRITE_ONCE(txq->done, txq->done + packets);
	woken = __netif_txq_completed_wake(netdev_get_tx_queue(dev, txq->index), packets, bytes,
					   zcnic_tx_room(txq), READ_ONCE(txq->port->rings.tx) / 4,
					   !READ_ONCE(txq->port->up));
	txq->stats.wake += !woken;
	spin_unlock_bh(&txq->lock);
}

static bool zcnic_enqueue(struct zcnic_rxq *rxq, struct sk_buff *skb)
{
	struct zcnic_port *port = rxq->port;
	unsigned int hits = zcnic_faults_wire(port, skb);
	bool open;

	if (hits & ZCNIC_HIT_DELAY)
		ZCNIC_CB(skb)->ready = ktime_add_us(ktime_get(), READ_ONCE(port->faults.delay_us));

	spin_lock_bh(&rxq->backlog.lock);
	open = rxq->open;
	if (open && (hits & ZCNIC_HIT_REORDER) && !rxq->held) {
		ZCNIC_CB(skb)->ready = ktime_add_us(ktime_get(), ZCNIC_HOLD_US);
		rxq->held = skb;
	} else if (open) {
		__skb_queue_tail(&rxq->backlog, skb);
		if (rxq->held) {
			ZCNIC_CB(rxq->held)->ready = 0;
			__skb_queue_tail(&rxq->backlog, rxq->held);
			rxq->held = NULL;
		}
	}
	spin_unlock_bh(&rxq->backlog.lock);

	if (open)
		zcnic_raise(rxq);
	return open;
}

static void zcnic_tx_count(struct zcnic_txq *txq, const struct sk_buff *skb)
{
	struct zcnic_tx_stats *stats = &txq->stats;

	stats->packets++;
	stats->bytes += skb->len;
	if (skb_is_gso(skb)) {
		stats->gso_packets++;
		stats->gso_bytes += skb->len;
		stats->gso_wire_packets += skb_shinfo(skb)->gso_segs;
	}
	if (skb->ip_summed == CHECKSUM_PARTIAL)
		stats->needs_csum++;
	else
		stats->csum_none++;
}

/* The wire has ended: nobody there, no such queue, or a rule that drops. */
static void zcnic_tx_lost(struct zcnic_txq *txq, struct sk_buff *skb)
{
	unsigned int bytes = ZCNIC_CB(skb)->bytes;

	dev_kfree_skb_any(skb);
	zcnic_tx_complete(txq, 1, bytes);
}

netdev_tx_t zcnic_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct zcnic_port *port = netdev_priv(dev), *peer;
	u16 index = skb_get_queue_mapping(skb);
	struct netdev_queue *queue = netdev_get_tx_queue(dev, index);
	struct zcnic_txq *txq = &port->txq[index];
	int target;

	if (!netif_txq_maybe_stop(queue, zcnic_tx_room(txq), 1, 1))
		return NETDEV_TX_BUSY;
	peer = rcu_dereference_bh(port->peer);
	if (unlikely(!peer || !READ_ONCE(peer->up) || !READ_ONCE(port->up))) {
		txq->stats.dropped++;
		dev_kfree_skb_any(skb);
		return NETDEV_TX_OK;
	}

	skb_tx_timestamp(skb);
	zcnic_tx_count(txq, skb);
	memset(ZCNIC_CB(skb), 0, sizeof(struct zcnic_cb));
	ZCNIC_CB(skb)->txq = txq;
	ZCNIC_CB(skb)->bytes = skb->len;

	WRITE_ONCE(txq->sent, txq->sent + 1);
	netdev_tx_sent_queue(queue, skb->len);
	target = zcnic_steer(peer, skb);
	if (target < 0) {
		atomic64_inc(&peer->rule_drops);
		zcnic_tx_lost(txq, skb);
	} else if (target >= peer->max_queues || !zcnic_enqueue(&peer->rxq[target], skb)) {
		atomic64_inc(&peer->closed_drops);
		zcnic_tx_lost(txq, skb);
	}

	if (!netif_txq_maybe_stop(queue, zcnic_tx_room(txq), 1, READ_ONCE(port->rings.tx) / 4))
		txq->stats.stop++;
	return NETDEV_TX_OK;
}

/* Throw away what waits for a queue. Its owner or the sender is going down. */
void zcnic_purge(struct zcnic_rxq *rxq)
{
	struct sk_buff_head gone;
	struct sk_buff *skb;

	__skb_queue_head_init(&gone);
	spin_lock_bh(&rxq->backlog.lock);
	skb_queue_splice_init(&rxq->backlog, &gone);
	if (rxq->held)
		__skb_queue_tail(&gone, rxq->held);
	rxq->held = NULL;
	spin_unlock_bh(&rxq->backlog.lock);

	while ((skb = __skb_dequeue(&gone)))
		zcnic_tx_lost(ZCNIC_CB(skb)->txq, skb);
}

static bool zcnic_tx_idle(struct zcnic_txq *txq)
{
	bool idle;

	spin_lock_bh(&txq->lock);
	idle = READ_ONCE(txq->sent) == txq->done;
	spin_unlock_bh(&txq->lock);
	return idle;
}

/* Get back all that this port has on the wire; nothing is sent any more. */
void zcnic_tx_drain(struct zcnic_port *port)
{
	struct zcnic_port *peer;
	unsigned int i;

	lockdep_assert_held(&zcnic_link_lock);
	peer = zcnic_peer(port);
	for (i = 0; peer && i < peer->max_queues; i++)
		zcnic_purge(&peer->rxq[i]);
	/* What is left is in the hands of polls, and they do not wait. */
	for (i = 0; i < port->max_queues; i++)
		while (!zcnic_tx_idle(&port->txq[i]))
			usleep_range(20, 200);
	for (i = 0; i < port->max_queues; i++)
		netdev_tx_reset_queue(netdev_get_tx_queue(port->dev, i));
}
