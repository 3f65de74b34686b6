/* SPDX-License-Identifier: GPL-2.0 */
/*
 * zcnic: a pair of virtual Ethernet ports whose receive side works like that
 * of a NIC with header split, page pools and queue management.
 */
#ifndef ZCNIC_H
#define ZCNIC_H

#include <linux/ethtool.h>
#include <linux/hrtimer.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <net/netdev_queues.h>
#include <net/page_pool/types.h>

#define ZCNIC_NAME		"zcnic"
#define ZCNIC_MAX_PORTS		16
#define ZCNIC_MAX_QUEUES	64
#define ZCNIC_MAX_MTU		9600
#define ZCNIC_RING_DEFAULT	256
#define ZCNIC_RING_MIN		32
#define ZCNIC_RING_MAX		8192
#define ZCNIC_BUF_LEN_MIN	PAGE_SIZE
#define ZCNIC_BUF_LEN_MAX	SZ_64K
#define ZCNIC_HDS_THRESH_MAX	1024

struct dentry;
struct zcnic_port;
struct zcnic_rxq;
struct zcnic_steering;

/* Counters with one writer at a time; readers take what they see. */
struct zcnic_rx_stats {
	u64 packets;
	u64 bytes;
	u64 split;		/* headers linear, payload in buffers */
	u64 nosplit;		/* TCP payload that was not split */
	u64 split_bytes;	/* payload of the packets that were split */
	u64 nosplit_bytes;	/* of all others, TCP or not */
	u64 linear;		/* all of it in the linear part */
	u64 alloc_fail;		/* refills that left the ring short */
	u64 drop_no_buffer;	/* no posted buffer for the packet */
	u64 drop_no_memory;	/* no skb for the packet */
	u64 drop_length;	/* longer than the MTU allows */
	u64 csum_none;
	u64 csum_unnecessary;
	u64 csum_bad;		/* wrong, and of no use to the stack */
	u64 gro_packets;
	u64 gro_bytes;
	u64 gro_wire_packets;
	u64 gro_wire_bytes;
	u64 restarts;
};

struct zcnic_tx_stats {
	u64 packets;
	u64 bytes;
	u64 gso_packets;
	u64 gso_bytes;
	u64 gso_wire_packets;
	u64 needs_csum;
	u64 csum_none;
	u64 dropped;		/* nobody at the other end of the wire */
	u64 stop;
	u64 wake;
};

/* What a queue restart replaces. The NAPI context of the queue owns it. */
struct zcnic_rxmem {
	struct page_pool *pool;
	netmem_ref *ring;	/* posted buffers, head..tail */
	u32 ring_size;		/* posted at most */
	u32 ring_slots;		/* that, rounded up to a power of two */
	u32 head;
	u32 tail;
	u32 buf_len;
	u32 fill;		/* bytes used of the buffer at head */
	u32 hds_thresh;
	bool split;
	bool unreadable;	/* a provider's memory, not the kernel's */
};

struct zcnic_rxq {
	struct zcnic_port *port;
	unsigned int index;
	struct napi_struct napi;
	unsigned int cpu;	/* takes the interrupts of this queue */
	call_single_data_t irq;
	struct zcnic_rxmem mem;
	bool running;		/* mem is there and NAPI enabled */
	unsigned long state;	/* ZCNIC_RXQ_* */

	/* The wire: what the peer sent and this queue has not yet taken. */
	struct sk_buff_head backlog;
	struct sk_buff *held;	/* waits for its successor; backlog.lock */
	bool open;		/* backlog.lock */

	struct hrtimer timer;	/* started by the poll alone: refill retry, delays */
	struct zcnic_rx_stats stats;
};

enum {
	ZCNIC_RXQ_IRQ,		/* an arriving packet raises an interrupt */
};

struct zcnic_txq {
	struct zcnic_port *port;
	unsigned int index;
	spinlock_t lock;	/* serialises completions */
	u32 sent;		/* written under the lock of the netdev queue */
	u32 done;		/* written under lock */
	struct zcnic_tx_stats stats;
};

/* While a packet is on the wire. Zeroed before zcnic_steer() sees it. */
struct zcnic_cb {
	struct zcnic_txq *txq;
	unsigned int bytes;	/* as the queue that sent it counts them */
	ktime_t ready;		/* not to be received before; 0: at once */
	u32 hash;		/* zcnic_steer() may fill these two in */
	enum pkt_hash_types hash_type;
};

#define ZCNIC_CB(skb) ((struct zcnic_cb *)(skb)->cb)

struct zcnic_rings {
	u32 rx;			/* posted buffers per queue */
	u32 tx;			/* packets in flight per queue */
	u32 buf_len;
	u32 hds_thresh;
	bool split;
};

/* A fault that strikes every nth packet, or once. */
struct zcnic_fault {
	u32 nth;		/* 0: never */
	atomic_t once;		/* packets until it strikes once; 0: not armed */
	atomic_t seen;
	atomic64_t hits;
};

struct zcnic_faults {
	struct zcnic_fault unsplit;
	struct zcnic_fault drop;
	struct zcnic_fault corrupt;
	struct zcnic_fault delay;
	struct zcnic_fault reorder;
	u32 delay_us;
	bool exhaust;
	atomic64_t exhaust_hits;
	u32 fail_mem_alloc;	/* so many of the next calls fail */
	u32 fail_start;
	u32 fail_errno;
	atomic64_t fail_mem_alloc_hits;
	atomic64_t fail_start_hits;
	atomic64_t link_hits;
	bool link;
};

struct zcnic_port {
	struct net_device *dev;
	unsigned int id;
	struct zcnic_port __rcu *peer;	/* NULL while nothing is plugged in */
	unsigned int max_queues;
	unsigned int queues;		/* under the instance lock */
	struct zcnic_rings rings;	/* under the instance lock */
	bool up;
	struct zcnic_rxq *rxq;		/* max_queues of them */
	struct zcnic_txq *txq;
	struct zcnic_steering *steering;
	atomic64_t rule_drops;		/* packets a rule told to drop */
	atomic64_t closed_drops;	/* packets for a queue that is not there */
	struct zcnic_faults faults;
	struct dentry *dir;
};

/* zcnic_ethtool.c, zcnic_rss.c, zcnic_rules.c */
extern const struct ethtool_ops zcnic_ethtool_ops;

/* Called before the netdev is registered, and after it is gone. */
int zcnic_steer_init(struct zcnic_port *port);
void zcnic_steer_exit(struct zcnic_port *port);

/*
 * The receive queue of @rx that @skb goes to, or negative where a rule drops
 * it. Runs in the transmit path of the peer: RCU, no sleeping. skb->data is at
 * the Ethernet header; only the linear part is sure to be readable by pointer.
 */
int zcnic_steer(struct zcnic_port *rx, struct sk_buff *skb);

/* zcnic_config.c: all under the instance lock; on failure nothing has changed */
int zcnic_set_channels(struct zcnic_port *port, unsigned int n,
		       struct netlink_ext_ack *extack);
int zcnic_set_rings(struct zcnic_port *port, const struct zcnic_rings *rings,
		    struct netlink_ext_ack *extack);

/* zcnic_stats.c: the counters of `ethtool -S` and of debugfs */
unsigned int zcnic_counter_count(struct zcnic_port *port);
void zcnic_counter_names(struct zcnic_port *port, u8 *data);
void zcnic_counter_values(struct zcnic_port *port, u64 *data);

#endif
