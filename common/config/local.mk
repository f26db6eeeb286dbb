noinst_LIBRARIES += libconfig.a
libconfig_a_SOURCES = \
	common/config/bounce_file.c common/config/bounce_file.h \
	common/config/cleanup_view.c common/config/cleanup_view.h \
	common/config/config.c common/config/config.h common/config/config_internal.h \
	common/config/config_check.c \
	common/config/config_check_services.c \
	common/config/config_check_value.c \
	common/config/config_defaults.c \
	common/config/config_environment.c \
	common/config/config_list.c \
	common/config/config_problems.c \
	common/config/config_values.c \
	common/config/config_wire.c \
	common/config/evaluate.c common/config/evaluate.h \
	common/config/evaluate_compare.c \
	common/config/evaluate_names.c \
	common/config/idn.c common/config/idn.h \
	common/config/logical_line.c common/config/logical_line.h \
	common/config/main_cf.c common/config/main_cf.h \
	common/config/master_cf.c common/config/master_cf.h \
	common/config/master_fields.c common/config/master_fields.h \
	common/config/mynetworks.c \
	common/config/parameter.c common/config/parameter.h \
	common/config/parameters.def common/config/parameters_posthorn.def \
	common/config/references.c common/config/references.h

# The manual page of all parameters is made from the table.
noinst_PROGRAMS += common/config/parameter_manual
common_config_parameter_manual_SOURCES = common/config/parameter_manual.c
common_config_parameter_manual_LDADD = libconfig.a
nodist_man_MANS = man/posthorn-parameters.5
CLEANFILES += man/posthorn-parameters.5
man/posthorn-parameters.5: common/config/parameter_manual$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) man && common/config/parameter_manual$(EXEEXT) > $@.tmp && mv $@.tmp $@
