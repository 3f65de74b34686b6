// The one header Swift imports: the kernel ABI and the few calls Swift cannot spell.
#pragma once
#include "ik_abi.h"
#include "ik_area.h"
#include "ik_check.h"
#include "ik_ethtool.h"
#include "ik_memory.h"
#include "ik_ring.h"
#include "ik_send.h"
#include "ik_setup.h"
#include "ik_socket.h"
#include "ik_thread.h"
#include "ik_verbs.h"
#include "ik_zcrx.h"
