berth_library(berth_runtime SRCS runtime.cc DEPS berth_recovery berth_status)
