# The configuration is installed once and then is the operator's: no later install touches it.
conffiles = etc/postern.conf etc/users
confdir = $(sysconfdir)/postern
examplesdir = $(docdir)/examples
dist_examples_DATA = etc/nginx-mail-example.conf
EXTRA_DIST += $(conffiles)

install-data-local: install-conf install-folders
install-conf:
	$(MKDIR_P) "$(DESTDIR)$(confdir)"
	test -e "$(DESTDIR)$(confdir)/postern.conf" || \
		$(INSTALL_DATA) "$(srcdir)/etc/postern.conf" "$(DESTDIR)$(confdir)/postern.conf"
	test -e "$(DESTDIR)$(confdir)/users" || \
		$(INSTALL) -m 600 "$(srcdir)/etc/users" "$(DESTDIR)$(confdir)/users"

# Goes with us unless somebody has changed it.
uninstall-local: uninstall-conf
uninstall-conf:
	for file in $(conffiles); do \
		installed="$(DESTDIR)$(confdir)/$${file#etc/}"; \
		if cmp -s "$(srcdir)/$$file" "$$installed"; then rm -f "$$installed"; fi; \
	done
.PHONY: install-conf install-folders uninstall-conf

# The folders of pid file and log; what lies in /run is made at every boot by whoever starts us.
install-folders:
	@for file in '$(pid_path)' '$(error_log_path)'; do \
		case $$file in \
		/run/*) ;; \
		*) $(MKDIR_P) "$(DESTDIR)$$(dirname "$$file")" || exit 1 ;; \
		esac; \
	done
