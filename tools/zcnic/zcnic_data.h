/* SPDX-License-Identifier: GPL-2.0 */
/* What the data path and the queues of zcnic share among themselves. */
#ifndef ZCNIC_DATA_H
#define ZCNIC_DATA_H

#include <linux/dma-direct.h>
#include <net/page_pool/helpers.h>

#include "zcnic.h"

/* The headers of a packet, as far as the parser of the NIC understands them. */
struct zcnic_frame {
	struct sk_buff *skb;
	u32 hlen;		/* what goes to the linear part */
	u32 payload;		/* what follows, less the padding of short frames */
	u16 l3;			/* where they start; 0 where it is not IP */
	u16 l4;
	bool ipv6;
	bool tcp;
};

/* A place in a packet, moving forward only. */
struct zcnic_reader {
	const struct sk_buff *skb;
	struct device *dma_dev;
	int frag;		/* -1: the linear part */
	u32 start;		/* of that part within the packet */
};

enum zcnic_hit {
	ZCNIC_HIT_DROP		= BIT(0),
	ZCNIC_HIT_CORRUPT	= BIT(1),
	ZCNIC_HIT_UNSPLIT	= BIT(2),
	ZCNIC_HIT_DELAY		= BIT(3),
	ZCNIC_HIT_REORDER	= BIT(4),
};

static inline struct device *zcnic_dma_dev(const struct zcnic_port *port)
{
	return port->dev->dev.parent;
}

/*
 * What a device would reach by its bus address. There is no IOMMU behind a
 * platform device, so this is the kernel's view of the same memory, whoever
 * gave it: pages, udmabuf, a dma-buf heap.
 */
static inline void *zcnic_dma_to_virt(struct device *dev, dma_addr_t addr)
{
	return phys_to_virt(dma_to_phys(dev, addr));
}

static inline u32 zcnic_posted(const struct zcnic_rxmem *mem)
{
	return mem->tail - mem->head;
}

static inline netmem_ref *zcnic_slot(const struct zcnic_rxmem *mem, u32 index)
{
	return &mem->ring[index & (mem->ring_slots - 1)];
}

/* zcnic_frame.c */
void zcnic_parse(struct sk_buff *skb, struct zcnic_frame *frame);
void zcnic_segment(void *headers, const struct zcnic_frame *frame, u32 off, u32 len);
bool zcnic_checksum_right(const struct zcnic_frame *frame);
void zcnic_reader_init(struct zcnic_reader *reader, const struct sk_buff *skb,
		       struct device *dma_dev);
void zcnic_read(struct zcnic_reader *reader, u32 off, void *to, u32 len);

/* zcnic_ring.c */
void zcnic_refill(struct zcnic_rxq *rxq, gfp_t gfp);
bool zcnic_place(struct zcnic_rxq *rxq, struct sk_buff *skb, struct zcnic_reader *reader,
		 u32 off, u32 gap, u32 len);

/* zcnic_rx.c */
int zcnic_poll(struct napi_struct *napi, int budget);
void zcnic_interrupt(void *data);
void zcnic_raise(struct zcnic_rxq *rxq);
enum hrtimer_restart zcnic_timer(struct hrtimer *timer);

/* zcnic_tx.c */
netdev_tx_t zcnic_xmit(struct sk_buff *skb, struct net_device *dev);
void zcnic_tx_complete(struct zcnic_txq *txq, unsigned int packets, unsigned int bytes);
void zcnic_purge(struct zcnic_rxq *rxq);
void zcnic_tx_drain(struct zcnic_port *port);

/* zcnic_queue.c */
extern const struct netdev_queue_mgmt_ops zcnic_queue_mgmt_ops;
int zcnic_mem_alloc(struct zcnic_port *port, unsigned int index, struct zcnic_rxmem *mem);
void zcnic_mem_free(struct zcnic_rxmem *mem);
void zcnic_rxq_attach(struct zcnic_rxq *rxq);
void zcnic_rxq_detach(struct zcnic_rxq *rxq);
void zcnic_rxq_run(struct zcnic_rxq *rxq, const struct zcnic_rxmem *mem);
void zcnic_rxq_halt(struct zcnic_rxq *rxq, struct zcnic_rxmem *mem);

/* zcnic_config.c */
int zcnic_open(struct net_device *dev);
int zcnic_stop(struct net_device *dev);

/* zcnic_main.c */
extern struct mutex zcnic_link_lock;
struct zcnic_port *zcnic_peer(struct zcnic_port *port);
void zcnic_link_update(struct zcnic_port *port);

/* zcnic_stats.c */
extern const struct netdev_stat_ops zcnic_stat_ops;
void zcnic_get_stats64(struct net_device *dev, struct rtnl_link_stats64 *stats);

/* zcnic_fault.c */
unsigned int zcnic_faults_wire(struct zcnic_port *port, struct sk_buff *skb);
unsigned int zcnic_faults_frame(struct zcnic_port *port, bool splittable);
int zcnic_fault_errno(struct zcnic_port *port, u32 *left, atomic64_t *hits);
void zcnic_debugfs_init(void);
void zcnic_debugfs_exit(void);
void zcnic_debugfs_add(struct zcnic_port *port);
void zcnic_debugfs_remove(struct zcnic_port *port);

#endif
