// SPDX-License-Identifier: GPL-2.0
/* Receive queues: their memory, their NAPI contexts, and queue management. */
#include <linux/log2.h>
#include <net/netdev_lock.h>
#include <net/netdev_rx_queue.h>

#include "zcnic_data.h"

/**
 * zcnic_mem_alloc() - make what a queue needs besides its NAPI context
 * @port:	by its settings, and by those of a provider bound to the queue
 * @index:	of the queue
 * @mem:	what was made
 *
 * The ring is filled when the queue starts: until then the pool has given
 * nothing, and a queue whose start fails has taken nothing from a provider.
 */
int zcnic_mem_alloc(struct zcnic_port *port, unsigned int index, struct zcnic_rxmem *mem)
{
	const struct zcnic_rings *rings = &port->rings;
	struct page_pool_params params = {
		.pool_size = rings->rx,
		.nid = NUMA_NO_NODE,
		.dev = zcnic_dma_dev(port),
		.netdev = port->dev,
		.queue_idx = index,
		.dma_dir = DMA_FROM_DEVICE,
		.flags = PP_FLAG_DMA_MAP | PP_FLAG_DMA_SYNC_DEV,
	};
	struct netdev_queue_config qcfg;

	netdev_queue_config(port->dev, index, &qcfg);
	/* A provider that asks for no size means pages, whatever rx-buf-len is. */
	if (netif_rxq_has_unreadable_mp(port->dev, index) &&
	    !__netif_get_rx_queue(port->dev, index)->mp_params.rx_page_size)
		qcfg.rx_page_size = PAGE_SIZE;
	params.order = get_order(qcfg.rx_page_size);
	params.max_len = qcfg.rx_page_size;
	if (rings->split)
		params.flags |= PP_FLAG_ALLOW_UNREADABLE_NETMEM;

	memset(mem, 0, sizeof(*mem));
	mem->ring_size = rings->rx;
	mem->ring_slots = roundup_pow_of_two(rings->rx);
	mem->buf_len = qcfg.rx_page_size;
	mem->split = rings->split;
	mem->hds_thresh = rings->hds_thresh;
	mem->ring = kvcalloc(mem->ring_slots, sizeof(*mem->ring), GFP_KERNEL);
	if (!mem->ring)
		return -ENOMEM;

	mem->pool = page_pool_create(&params);
	if (IS_ERR(mem->pool)) {
		kvfree(mem->ring);
		return PTR_ERR(mem->pool);
	}
	mem->unreadable = page_pool_is_unreadable(mem->pool);
	return 0;
}

void zcnic_mem_free(struct zcnic_rxmem *mem)
{
	while (zcnic_posted(mem))
		page_pool_put_full_netmem(mem->pool, *zcnic_slot(mem, mem->head++), false);
	page_pool_destroy(mem->pool);
	kvfree(mem->ring);
	memset(mem, 0, sizeof(*mem));
}

void zcnic_rxq_attach(struct zcnic_rxq *rxq)
{
	struct net_device *dev = rxq->port->dev;

	netif_napi_add_config_locked(dev, &rxq->napi, zcnic_poll, rxq->index);
	netif_queue_set_napi(dev, rxq->index, NETDEV_QUEUE_TYPE_RX, &rxq->napi);
	netif_queue_set_napi(dev, rxq->index, NETDEV_QUEUE_TYPE_TX, &rxq->napi);
}

static void zcnic_rxq_open(struct zcnic_rxq *rxq, bool open)
{
	spin_lock_bh(&rxq->backlog.lock);
	rxq->open = open;
	spin_unlock_bh(&rxq->backlog.lock);
	if (!open)
		zcnic_purge(rxq);
}

/* The queue is halted. No packet will find its way to it before it runs again. */
void zcnic_rxq_detach(struct zcnic_rxq *rxq)
{
	struct net_device *dev = rxq->port->dev;

	zcnic_rxq_open(rxq, false);
	netif_queue_set_napi(dev, rxq->index, NETDEV_QUEUE_TYPE_RX, NULL);
	netif_queue_set_napi(dev, rxq->index, NETDEV_QUEUE_TYPE_TX, NULL);
	netif_napi_del_locked(&rxq->napi);
}

void zcnic_rxq_run(struct zcnic_rxq *rxq, const struct zcnic_rxmem *mem)
{
	rxq->mem = *mem;
	page_pool_enable_direct_recycling(rxq->mem.pool, &rxq->napi);
	zcnic_refill(rxq, GFP_KERNEL | __GFP_NOWARN);
	napi_enable_locked(&rxq->napi);
	rxq->running = true;
	zcnic_rxq_open(rxq, true);
	/* Packets may have come meanwhile, and the ring may be short. */
	local_bh_disable();
	napi_schedule(&rxq->napi);
	local_bh_enable();
}

/* Packets wait on the wire until the queue runs again, or is detached. */
void zcnic_rxq_halt(struct zcnic_rxq *rxq, struct zcnic_rxmem *mem)
{
	memset(mem, 0, sizeof(*mem));
	/* It is not where its last start failed, and no other came after it. */
	if (!rxq->running)
		return;

	rxq->running = false;
	clear_bit(ZCNIC_RXQ_IRQ, &rxq->state);
	napi_disable_locked(&rxq->napi);
	hrtimer_cancel(&rxq->timer);
	page_pool_disable_direct_recycling(rxq->mem.pool);
	*mem = rxq->mem;
	memset(&rxq->mem, 0, sizeof(rxq->mem));
}

static int zcnic_queue_mem_alloc(struct net_device *dev, struct netdev_queue_config *qcfg,
				 void *mem, int index)
{
	struct zcnic_port *port = netdev_priv(dev);
	struct zcnic_faults *faults = &port->faults;
	int err;

	err = zcnic_fault_errno(port, &faults->fail_mem_alloc, &faults->fail_mem_alloc_hits);
	return err ?: zcnic_mem_alloc(port, index, mem);
}

static void zcnic_queue_mem_free(struct net_device *dev, void *mem)
{
	zcnic_mem_free(mem);
}

static int zcnic_queue_start(struct net_device *dev, struct netdev_queue_config *qcfg,
			     void *mem, int index)
{
	struct zcnic_port *port = netdev_priv(dev);
	struct zcnic_faults *faults = &port->faults;
	int err;

	err = zcnic_fault_errno(port, &faults->fail_start, &faults->fail_start_hits);
	if (err) {
		zcnic_rxq_open(&port->rxq[index], false);
		return err;
	}

	zcnic_rxq_run(&port->rxq[index], mem);
	port->rxq[index].stats.restarts++;
	return 0;
}

static int zcnic_queue_stop(struct net_device *dev, void *mem, int index)
{
	struct zcnic_port *port = netdev_priv(dev);

	zcnic_rxq_halt(&port->rxq[index], mem);
	return 0;
}

static void zcnic_default_qcfg(struct net_device *dev, struct netdev_queue_config *qcfg)
{
	struct zcnic_port *port = netdev_priv(dev);

	qcfg->rx_page_size = port->rings.buf_len;
}

static int zcnic_validate_qcfg(struct net_device *dev, struct netdev_queue_config *qcfg,
			       struct netlink_ext_ack *extack)
{
	if (!is_power_of_2(qcfg->rx_page_size)) {
		NL_SET_ERR_MSG(extack, "the length of receive buffers must be a power of two");
		return -EINVAL;
	}
	if (qcfg->rx_page_size < ZCNIC_BUF_LEN_MIN || qcfg->rx_page_size > ZCNIC_BUF_LEN_MAX) {
		NL_SET_ERR_MSG(extack, "receive buffers have from one page to 64 KiB");
		return -ERANGE;
	}
	return 0;
}

const struct netdev_queue_mgmt_ops zcnic_queue_mgmt_ops = {
	.ndo_queue_mem_size	= sizeof(struct zcnic_rxmem),
	.ndo_queue_mem_alloc	= zcnic_queue_mem_alloc,
	.ndo_queue_mem_free	= zcnic_queue_mem_free,
	.ndo_queue_start	= zcnic_queue_start,
	.ndo_queue_stop		= zcnic_queue_stop,
	.ndo_default_qcfg	= zcnic_default_qcfg,
	.ndo_validate_qcfg	= zcnic_validate_qcfg,
	.supported_params	= QCFG_RX_PAGE_SIZE,
};
