noinst_LIBRARIES += libconfig.a
libconfig_a_SOURCES = \
	common/config/config.c common/config/config.h common/config/config_internal.h \
	common/config/config_check.c \
	common/config/config_check_value.c \
	common/config/config_defaults.c \
	common/config/config_list.c \
	common/config/config_problems.c \
	common/config/config_values.c \
	common/config/config_wire.c \
	common/config/evaluate.c common/config/evaluate.h \
	common/config/evaluate_compare.c \
	common/config/evaluate_names.c \
	common/config/logical_line.c common/config/logical_line.h \
	common/config/main_cf.c common/config/main_cf.h \
	common/config/master_cf.c common/config/master_cf.h \
	common/config/master_fields.c common/config/master_fields.h \
	common/config/mynetworks.c \
	common/config/parameter.c common/config/parameter.h \
	common/config/parameters.def common/config/parameters_posthorn.def \
	common/config/references.c common/config/references.h
