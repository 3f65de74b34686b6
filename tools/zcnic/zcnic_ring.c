// SPDX-License-Identifier: GPL-2.0
/* The receive ring: buffers posted from the page pool, and DMA to them. */
#include "zcnic_data.h"

#define ZCNIC_STRIDE	64	/* frames in one buffer start at multiples */

/* Post what the pool has. A ring that stays short is tried again by the poll. */
void zcnic_refill(struct zcnic_rxq *rxq, gfp_t gfp)
{
	struct zcnic_rxmem *mem = &rxq->mem;
	netmem_ref netmem;

	while (zcnic_posted(mem) < mem->ring_size) {
		if (READ_ONCE(rxq->port->faults.exhaust)) {
			atomic64_inc(&rxq->port->faults.exhaust_hits);
			netmem = 0;
		} else {
			netmem = page_pool_alloc_netmems(mem->pool, gfp);
		}
		if (!netmem) {
			rxq->stats.alloc_fail++;
			break;
		}
		*zcnic_slot(mem, mem->tail++) = netmem;
	}
}

/* Give up the rest of the buffer at the head of the ring. */
static void zcnic_retire(struct zcnic_rxmem *mem)
{
	page_pool_put_full_netmem(mem->pool, *zcnic_slot(mem, mem->head++), true);
	mem->fill = 0;
}

/*
 * DMA of @len bytes to posted buffers. A frame that does not fit in what is
 * left of the current buffer starts in the next one, so that one buffer has
 * several small frames, and a large frame fills buffers of its own. Each frame
 * holds one reference per buffer; that of the ring goes with the last bytes.
 */
bool zcnic_place(struct zcnic_rxq *rxq, struct sk_buff *skb, struct zcnic_reader *reader,
		 u32 off, u32 gap, u32 len)
{
	struct zcnic_rxmem *mem = &rxq->mem;
	u32 need = gap + len;

	if (mem->fill && mem->fill + need > mem->buf_len)
		zcnic_retire(mem);
	if (DIV_ROUND_UP(mem->fill + need, mem->buf_len) > min(zcnic_posted(mem), MAX_SKB_FRAGS))
		return false;

	mem->fill += gap;
	while (len) {
		netmem_ref netmem = *zcnic_slot(mem, mem->head);
		u32 n = min(len, mem->buf_len - mem->fill);
		u32 end = ALIGN(mem->fill + n, ZCNIC_STRIDE);
		void *va;

		va = zcnic_dma_to_virt(zcnic_dma_dev(rxq->port),
				       page_pool_get_dma_addr_netmem(netmem));
		zcnic_read(reader, off, va + mem->fill, n);
		if (!mem->unreadable)
			page_pool_dma_sync_netmem_for_cpu(mem->pool, netmem, mem->fill, n);
		skb_add_rx_frag_netmem(skb, skb_shinfo(skb)->nr_frags, netmem, mem->fill, n,
				       end - mem->fill);
		off += n;
		len -= n;
		if (end < mem->buf_len) {
			page_pool_ref_netmem(netmem);
			mem->fill = end;
		} else {
			mem->head++;
			mem->fill = 0;
		}
	}
	skb_mark_for_recycle(skb);
	return true;
}
